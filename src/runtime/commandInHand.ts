/** What the command worker hands to the handler of a verb, and what it hears back. */
import type { Logger } from "pino";
import type { CommandPayload, CommandVerb } from "../domain/command.ts";
import type { EventData } from "../domain/event.ts";
import type { LogConnection } from "../log/connection.ts";
import type { EventLog } from "../log/eventLog.ts";
import type { RunDesk } from "./runs/runDesk.ts";
import type { TriggerDesk } from "./triggers/triggerDesk.ts";

/** What handlers work with; each verb may ask a desk of its own. */
export interface CommandTools {
  connection: LogConnection;
  log: EventLog;
  desk: TriggerDesk & RunDesk;
  logger: Logger;
}

/** One command, read and found to fit its schema. */
export interface CommandInHand<V extends CommandVerb> {
  workspaceId: number;
  /** The id under which its sender may repeat it; fits a subject. */
  commandId: string;
  payload: CommandPayload<V>;
  /** Of the command's span: what comes of it belongs to that trace. */
  traceparent: string | undefined;
}

/** Why a command is refused for good; becomes `command.refused`. */
export interface Refusal {
  code: EventData<"command.refused">["code"];
  /** Names the field and the fix. */
  message: string;
  /** The run that is in its way, if that is why. */
  runId?: number;
}

/** What became of a command. `facts` go to its span. */
export type CommandOutcome =
  | { kind: "done"; facts?: Record<string, string | number | boolean> }
  | { kind: "refused"; refusal: Refusal };

/**
 * Performs the commands of one verb; must be safe to call twice for one command.
 * A throw of InvalidInput refuses the command, any other brings it back after a growing wait.
 */
export type CommandHandler<V extends CommandVerb> = (
  tools: CommandTools,
  command: CommandInHand<V>,
) => Promise<CommandOutcome>;
