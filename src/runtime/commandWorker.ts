/** Takes commands and gives each to the handler of its verb; what cannot be done is refused with an event that says why. */
import type { JsMsg } from "@nats-io/jetstream";
import type { CommandVerb } from "../domain/command.ts";
import { InvalidInput, toError, VersionConflict } from "../domain/errors.ts";
import type { EventData } from "../domain/event.ts";
import { cleanTraceparent } from "../domain/traceparent.ts";
import { parseCommand } from "../log/commands.ts";
import { NEW_AGGREGATE } from "../log/eventLog.ts";
import { CONSUMERS } from "../log/topology.ts";
import type { CommandHandler, CommandOutcome, CommandTools, Refusal } from "./commandInHand.ts";
import { sha256Hex } from "./deliveries/deliveryActor.ts";
import { handleCancel } from "./runs/cancelRun.ts";
import { NO_TRACING, type Tracing } from "./telemetry/tracing.ts";
import { handleDryRun, handleTest } from "./trials/trialCommands.ts";
import { handleTrigger } from "./triggers/triggerCommand.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "./workQueue.ts";

export interface CommandWorkerOptions extends CommandTools {
  tracing?: Tracing;
}

/** Who performs each verb: a new one is a schema in domain/command.ts and a line here. */
const HANDLERS: { readonly [V in CommandVerb]: CommandHandler<V> } = {
  trigger: handleTrigger,
  cancel: handleCancel,
  dry_run: handleDryRun,
  test: handleTest,
};

const COMMAND_CONCURRENCY = 8;
/** What fits a subject token and a Nats-Msg-Id alike. */
const TOKEN = /^[A-Za-z0-9_-]{1,128}$/;

/** Starts the command worker; several may share the queue. */
export function startCommandWorker(options: CommandWorkerOptions): WorkQueue {
  return startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.commandStream,
    consumer: CONSUMERS.commands,
    concurrency: () => COMMAND_CONCURRENCY,
    logger: options.logger,
    handle: (message) => handleCommand(options, message),
  });
}

/** The id under which a command is known: its Nats-Msg-Id, hashed when it cannot stand in a subject, or its place. */
export function commandIdOf(message: Pick<JsMsg, "headers" | "seq">): string {
  const id = message.headers?.get("Nats-Msg-Id") ?? "";
  if (id === "") return `seq-${message.seq}`;
  return TOKEN.test(id) ? id : `sha256-${sha256Hex(id).slice(0, 32)}`;
}

async function handleCommand(options: CommandWorkerOptions, message: JsMsg): Promise<WorkResult> {
  const commandId = commandIdOf(message);
  const span = (options.tracing ?? NO_TRACING).command(
    cleanTraceparent(message.headers?.get("traceparent")),
    { subject: message.subject, id: commandId, bytes: message.data.length },
  );
  const { traceparent } = span;
  try {
    const outcome = await perform(options, message, { commandId, traceparent });
    if (outcome.kind === "done") {
      span.end({ facts: outcome.facts ?? {} });
      return { kind: "done" };
    }
    const { refusal } = outcome;
    const result = await refuseCommand(options, message, { commandId, traceparent, refusal });
    span.end({ error: refusal.code });
    return result;
  } catch (error) {
    span.end({ error: toError(error).name });
    throw error;
  }
}

interface CommandIds {
  commandId: string;
  traceparent: string | undefined;
}

async function perform(tools: CommandTools, message: JsMsg, ids: CommandIds): Promise<CommandOutcome> {
  try {
    const { workspaceId, verb, payload } = parseCommand(message.subject, message.data);
    // Schema and handler stand under the same verb, which the compiler cannot see of a union.
    const handle = HANDLERS[verb] as CommandHandler<CommandVerb>;
    return await handle(tools, { workspaceId, payload, ...ids });
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return { kind: "refused", refusal: { code: "INVALID_COMMAND", message: error.message } };
  }
}

async function refuseCommand(
  { log, logger }: CommandTools,
  message: JsMsg,
  { commandId, traceparent, refusal }: CommandIds & { refusal: Refusal },
): Promise<WorkResult> {
  const workspaceId = Number(message.subject.split(".").at(-3));
  const known = Number.isSafeInteger(workspaceId) && workspaceId > 0 ? workspaceId : 1;
  const { code, message: text, runId } = refusal;
  const data: EventData<"command.refused"> = {
    workspace_id: known,
    command_id: commandId,
    subject: message.subject,
    code,
    message: text,
    sync_run_id: runId ?? null,
  };
  try {
    await log.append(
      { kind: "command", workspaceId: known, commandId },
      { type: "command.refused", machine: null, state: "refused", data, traceparent },
      NEW_AGGREGATE,
    );
  } catch (error) {
    if (!(error instanceof VersionConflict)) throw error;
  }
  logger.warn({ command: commandId, code, subject: message.subject, reason: text }, "command.refused");
  return { kind: "refused", reason: code };
}
