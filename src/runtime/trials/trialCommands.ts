/** The commands `dry_run` and `test`: each becomes a trial of its sync, which is its own work item. */
import { TRIAL_RUN_MACHINE } from "../../../machines/trialRun.ts";
import { VersionConflict } from "../../domain/errors.ts";
import type { EventData } from "../../domain/event.ts";
import { type EventLog, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { begin } from "../actor.ts";
import type { CommandHandler, CommandOutcome, CommandTools, Refusal } from "../commandInHand.ts";
import { trialBehaviour } from "./trialActor.ts";

/** A dry or test run that somebody asks for; `identifier` is the key of the row that a test sends, null for the first. */
export interface TrialCommand {
  workspaceId: number;
  commandId: string;
  traceparent: string | undefined;
  kind: "dry" | "test";
  sync: string | number;
  isFull: boolean;
  identifier: string | null;
  reason: string | undefined;
}

/** What requesting a trial works with. */
export interface TrialTools {
  log: Pick<EventLog, "append">;
  desk: Pick<CommandTools["desk"], "syncNames" | "acceptTrial"> & {
    findSync(workspaceId: number, nameOrId: string | number): Promise<{ id: number; name: string } | null>;
  };
}

/** What would a run of the sync do now? It may be asked while a run works: the figures are those of the moment. */
export const handleDryRun: CommandHandler<"dry_run"> = (tools, { payload, ...command }) => {
  const { sync, force_full_sync: isFull, reason } = payload;
  return request(tools, { ...command, kind: "dry", sync, isFull, identifier: null, reason });
};

/** One record to the destination. */
export const handleTest: CommandHandler<"test"> = (tools, { payload, ...command }) => {
  const { sync, identifier = null, reason } = payload;
  return request(tools, { ...command, kind: "test", sync, isFull: false, identifier, reason });
};

async function request(tools: CommandTools, command: TrialCommand): Promise<CommandOutcome> {
  const requested = await requestTrial(tools, command);
  if ("refusal" in requested) return { kind: "refused", refusal: requested.refusal };
  return { kind: "done", facts: { "egret.sync.id": requested.syncId, "egret.run.id": requested.runId } };
}

/** Asks for a trial, whoever took the wish: the command worker, or the API by itself. Safe to call twice for one command. */
export async function requestTrial(
  { log, desk }: TrialTools,
  command: TrialCommand,
): Promise<{ syncId: number; runId: number } | { refusal: Refusal }> {
  const { workspaceId, commandId, kind, identifier, traceparent } = command;
  const sync = await desk.findSync(workspaceId, command.sync);
  if (sync === null) {
    const known = (await desk.syncNames(workspaceId)).join(", ") || "none";
    const message = `sync: there is no sync ${JSON.stringify(command.sync)} in workspace ${workspaceId}; known: ${known}`;
    return { refusal: { code: "UNKNOWN_SYNC", message } };
  }
  const runId = await desk.acceptTrial({ workspaceId, commandId, syncId: sync.id, kind, identifier });
  const data: EventData<"trial.requested"> = {
    workspace_id: workspaceId,
    sync_id: sync.id,
    sync_run_id: runId,
    run_kind: kind,
    command_id: commandId,
    sync_name: sync.name,
    force_full_sync: command.isFull,
    sync_trigger_reason: {
      ui_tag: kind === "dry" ? "Dry Run" : "Test",
      ui_detail: command.reason ?? `command ${commandId}`,
    },
  };
  const { state } = begin(trialBehaviour, undefined);
  const draft = { type: "trial.requested", machine: TRIAL_RUN_MACHINE, state, data, traceparent } as const;
  try {
    await log.append({ kind: "trial", workspaceId, syncId: sync.id, runId }, draft, NEW_AGGREGATE);
  } catch (error) {
    // It is there already: this command came before, and its worker died between append and ack.
    if (!(error instanceof VersionConflict)) throw error;
  }
  return { syncId: sync.id, runId };
}
