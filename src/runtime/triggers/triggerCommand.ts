/** The command `trigger`: a run begins, waits, is skipped, or the command is refused. */
import { SYNC_RUN_MACHINE } from "../../../machines/syncRun.ts";
import type { RunAggregate } from "../../domain/aggregate.ts";
import type { TriggerCommand } from "../../domain/command.ts";
import { VersionConflict } from "../../domain/errors.ts";
import type { EventData } from "../../domain/event.ts";
import { type EventLog, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { begin } from "../actor.ts";
import type { CommandHandler, CommandInHand, CommandOutcome } from "../commandInHand.ts";
import { runBehaviour } from "../runActor.ts";
import type { OnBusy, TriggeredSync } from "./triggerDesk.ts";

/** Starts a run of a sync, or says why there is none. */
export const handleTrigger: CommandHandler<"trigger"> = async ({ log, desk }, command) => {
  const { workspaceId, commandId, payload } = command;
  const sync = await desk.findSync(workspaceId, payload.sync);
  if (sync === null) {
    const known = (await desk.syncNames(workspaceId)).join(", ") || "none";
    const message = `sync: there is no sync ${JSON.stringify(payload.sync)} in workspace ${workspaceId}; known: ${known}`;
    return { kind: "refused", refusal: { code: "UNKNOWN_SYNC", message } };
  }
  if (payload.force_full_sync && sync.operation === "append") {
    const message = `force_full_sync: sync ${sync.name} appends, and so sends each row once; trigger it without`;
    return { kind: "refused", refusal: { code: "INVALID_COMMAND", message } };
  }
  const isPaused = sync.options.paused && isAutomatic(payload);
  const onBusy = policyFor(sync, payload);
  const wishes = WISHES.filter((wish) => payload[wish] === true);
  const accept = (policy: OnBusy) =>
    desk.acceptTrigger({ workspaceId, commandId, syncId: sync.id, onBusy: policy, isPaused });
  let claim = await accept(onBusy === "wait" && wishes.length > 0 ? "wait_alone" : onBusy);
  if (onBusy === "wait" && claim.kind === "busy") {
    const { runId } = claim;
    const run = { kind: "run", workspaceId, syncId: sync.id, runId } as const;
    const lacking = await lackingIn(log, run, wishes);
    if (lacking.length > 0) {
      const message = `${lacking.join(", ")}: run ${runId} of sync ${sync.name} waits already, and was triggered without; cancel it, or wait until it has begun, then trigger again`;
      return { kind: "refused", refusal: { code: "ALREADY_RUNNING", message, runId } };
    }
    claim = await accept(onBusy);
  }
  switch (claim.kind) {
    case "accepted":
      return begun(log, command, { sync, runId: claim.runId });
    case "skipped":
      return skipped(log, command, { sync, ...claim });
    case "dropped":
      return { kind: "done", facts: { "egret.sync.id": sync.id, "egret.dropped_for.run.id": claim.runId } };
    case "paused": {
      const message = `sync ${sync.name} is paused, so ${payload.requested_via} starts nothing: egret sync resume ${sync.name}`;
      return { kind: "refused", refusal: { code: "PAUSED", message } };
    }
    case "busy": {
      const message = `sync ${sync.name} is running as run ${claim.runId}: wait for its end, then trigger again`;
      return { kind: "refused", refusal: { code: "ALREADY_RUNNING", message, runId: claim.runId } };
    }
  }
};

/** What a trigger may ask of its run: a waiting run, which others may join, is what its first trigger asked for. */
const WISHES = ["force_full_sync", "allow_deletes", "allow_rejects"] as const;

/** The wishes that a waiting run was not triggered with. */
async function lackingIn(
  log: EventLog,
  run: RunAggregate,
  wishes: readonly (typeof WISHES)[number][],
): Promise<string[]> {
  const [first] = await log.load(run);
  // Its trigger is in hand elsewhere; the command comes back.
  if (first?.event.type !== "sync.triggered") throw new Error(`run ${run.runId} does not wait yet`);
  const { data } = first.event;
  return wishes.filter((wish) => data[wish] !== true);
}

/** Nobody waits for the answer, and pausing stops it (behaviour.md 3.4). */
const AUTOMATIC: ReadonlySet<TriggerCommand["requested_via"]> = new Set([
  "Schedule",
  "Sequence",
  "Inbound Hook",
  "dbt Cloud",
]);

function isAutomatic({ requested_via }: TriggerCommand): boolean {
  return AUTOMATIC.has(requested_via);
}

/**
 * Behaviour.md 3.3. Who asks by hand is refused instead of getting a skipped run: clients that poll would wait for
 * ever for its end (ours).
 */
function policyFor({ options }: TriggeredSync, payload: TriggerCommand): OnBusy {
  const isTick = payload.requested_via === "Schedule";
  if (isTick && options.schedule?.frequency === "continuous") return "drop";
  if (options.overlap_policy === "queue_one") return "wait";
  return isAutomatic(payload) ? "skip" : "refuse";
}

interface CausedRun {
  sync: TriggeredSync;
  runId: number;
}

async function begun(
  log: EventLog,
  command: CommandInHand<"trigger">,
  run: CausedRun,
): Promise<CommandOutcome> {
  const { force_full_sync, allow_deletes, allow_rejects } = command.payload;
  const data: EventData<"sync.triggered"> = {
    ...factsOf(command, run),
    force_full_sync,
    ...(allow_deletes === true ? { allow_deletes } : {}),
    ...(allow_rejects === true ? { allow_rejects } : {}),
  };
  const { state } = begin(runBehaviour, undefined);
  return appendFirst(log, { type: "sync.triggered", state, data }, command.traceparent);
}

async function skipped(
  log: EventLog,
  command: CommandInHand<"trigger">,
  run: CausedRun & { runningRunId: number },
): Promise<CommandOutcome> {
  const data: EventData<"sync.skipped"> = { ...factsOf(command, run), running_run_id: run.runningRunId };
  const { state } = begin(runBehaviour, { isSkipped: true });
  return appendFirst(log, { type: "sync.skipped", state, data }, command.traceparent);
}

function factsOf({ workspaceId, commandId, payload }: CommandInHand<"trigger">, { sync, runId }: CausedRun) {
  const { requested_via, reason, scheduled_execution_time } = payload;
  return {
    workspace_id: workspaceId,
    sync_id: sync.id,
    sync_run_id: runId,
    command_id: commandId,
    sync_name: sync.name,
    sync_trigger_reason: {
      ui_tag: requested_via === "CLI" ? "Manual" : requested_via,
      ui_detail: reason ?? `command ${commandId}`,
    },
    scheduled_execution_time: scheduled_execution_time ?? null,
  };
}

async function appendFirst(
  log: EventLog,
  event:
    | { type: "sync.triggered"; state: string; data: EventData<"sync.triggered"> }
    | { type: "sync.skipped"; state: string; data: EventData<"sync.skipped"> },
  traceparent: string | undefined,
): Promise<CommandOutcome> {
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = event.data;
  const draft = { ...event, machine: SYNC_RUN_MACHINE, traceparent };
  try {
    await log.append({ kind: "run", workspaceId, syncId, runId }, draft, NEW_AGGREGATE);
  } catch (error) {
    // The run is there already: this command, or another that it waits with, came before.
    if (!(error instanceof VersionConflict)) throw error;
  }
  return { kind: "done", facts: { "egret.sync.id": syncId, "egret.run.id": runId } };
}
