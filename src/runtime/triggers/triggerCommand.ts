/** The command `trigger`: a run begins, waits, is skipped, or the command is refused. */
import { SYNC_RUN_MACHINE } from "../../../machines/syncRun.ts";
import type { RunAggregate } from "../../domain/aggregate.ts";
import type { TriggerCommand } from "../../domain/command.ts";
import { Unavailable, VersionConflict } from "../../domain/errors.ts";
import type { EventData } from "../../domain/event.ts";
import type { KeptClaim } from "../../engine/claims.ts";
import { type EventLog, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { begin } from "../actor.ts";
import type { CommandHandler, CommandInHand, Refusal } from "../commandInHand.ts";
import { runBehaviour } from "../runs/runActor.ts";
import type { OnBusy, TriggerDesk, TriggeredSync } from "./triggerDesk.ts";

/** What requesting a run works with. */
export interface RunRequestTools {
  log: Pick<EventLog, "load">;
  desk: TriggerDesk;
  /** Writes a run's first event; nothing where the run is there already. */
  begin(first: FirstEvent): Promise<void>;
}

/** The run that a trigger caused or waits with, the run for whose sake nothing was done, or why there is none. */
export type RunRequested =
  | { kind: "caused"; syncId: number; runId: number }
  | { kind: "dropped"; syncId: number; runId: number }
  | { kind: "refused"; refusal: Refusal; sync: TriggeredSync | null };

/** Starts a run of a sync, or says why there is none. */
export const handleTrigger: CommandHandler<"trigger"> = async ({ log, desk }, command) => {
  const requested = await requestRun({ log, desk, begin: (first) => beginInLog(log, first) }, command);
  switch (requested.kind) {
    case "caused":
      return { kind: "done", facts: { "egret.sync.id": requested.syncId, "egret.run.id": requested.runId } };
    case "dropped":
      return {
        kind: "done",
        facts: { "egret.sync.id": requested.syncId, "egret.dropped_for.run.id": requested.runId },
      };
    case "refused":
      return { kind: "refused", refusal: requested.refusal };
  }
};

/**
 * Performs a trigger, whoever took it: the command worker, or the API by itself. Safe to call twice for one command.
 * @throws Unavailable when the run that it would wait with is not begun yet: try again.
 */
export async function requestRun(
  tools: RunRequestTools,
  command: CommandInHand<"trigger">,
): Promise<RunRequested> {
  const { log, desk, begin: beginWith } = tools;
  const { workspaceId, commandId, payload } = command;
  const sync = await desk.findSync(workspaceId, payload.sync);
  const refused = (refusal: Refusal): RunRequested => ({ kind: "refused", refusal, sync });
  if (sync === null) {
    const known = (await desk.syncNames(workspaceId)).join(", ") || "none";
    const message = `sync: there is no sync ${JSON.stringify(payload.sync)} in workspace ${workspaceId}; known: ${known}`;
    return refused({ code: "UNKNOWN_SYNC", message });
  }
  if (payload.force_full_sync && sync.operation === "append") {
    const message = `force_full_sync: sync ${sync.name} appends, and so sends each row once; trigger it without`;
    return refused({ code: "INVALID_COMMAND", message });
  }
  const isPaused = sync.options.paused && isAutomatic(payload);
  const onBusy = policyFor(sync, payload);
  const wishes = wishesOf(payload);
  const { sync: _named, reason, ...asked } = payload;
  const claimFor = { workspaceId, commandId, syncId: sync.id, isPaused, reason, asked };
  const accept = (policy: OnBusy) => desk.acceptTrigger({ ...claimFor, onBusy: policy });
  let claim = await accept(onBusy === "wait" && wishes.length > 0 ? "wait_alone" : onBusy);
  if (onBusy === "wait" && claim.kind === "busy") {
    const { runId } = claim;
    const lacking = await lackingIn(log, { kind: "run", workspaceId, syncId: sync.id, runId }, wishes);
    if (lacking.length > 0) {
      const message = `${lacking.join(", ")}: run ${runId} of sync ${sync.name} waits already, and was triggered without; cancel it, or wait until it has begun, then trigger again`;
      return refused({ code: "ALREADY_RUNNING", message, runId });
    }
    claim = await accept(onBusy);
  }
  switch (claim.kind) {
    case "accepted":
      await beginWith(await beginningOf(desk, command, { sync, ...claim }));
      return { kind: "caused", syncId: sync.id, runId: claim.runId };
    case "skipped":
      await beginWith(skippedEvent(command, { sync, ...claim }));
      return { kind: "caused", syncId: sync.id, runId: claim.runId };
    case "dropped":
      return { kind: "dropped", syncId: sync.id, runId: claim.runId };
    case "paused": {
      const message = `sync ${sync.name} is paused, so ${payload.requested_via} starts nothing: egret sync resume ${sync.name}`;
      return refused({ code: "PAUSED", message });
    }
    case "busy": {
      const message = `sync ${sync.name} is running as run ${claim.runId}: wait for its end, then trigger again`;
      return refused({ code: "ALREADY_RUNNING", message, runId: claim.runId });
    }
  }
}

/** What a trigger may ask of its run: a waiting run, which others may join, is what its first trigger asked for. */
const WISHES = ["force_full_sync", "allow_deletes", "allow_rejects"] as const;
/** One of those. */
type Wish = (typeof WISHES)[number];

/** What a trigger asks of its run beyond running. */
export function wishesOf(payload: Pick<TriggerCommand, Wish>): Wish[] {
  return WISHES.filter((wish) => payload[wish] === true);
}

/**
 * The wishes that a run was not triggered with.
 * @throws Unavailable when its trigger is in hand elsewhere: a command comes back then.
 */
export async function lackingIn(
  log: Pick<EventLog, "load">,
  run: RunAggregate,
  wishes: readonly Wish[],
): Promise<string[]> {
  const [first] = await log.load(run);
  if (first?.event.type !== "sync.triggered") throw new Unavailable(`run ${run.runId} is not begun yet`);
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

/** How the run of a trigger begins that another may have caused, and not lived to begin: as what was asked for first. */
export async function beginningOf(
  desk: Pick<TriggerDesk, "claimOf">,
  command: CommandInHand<"trigger">,
  { sync, runId, duplicate }: CausedRun & { duplicate: boolean },
): Promise<FirstEvent> {
  const { workspaceId } = command;
  const first = duplicate ? await desk.claimOf({ workspaceId, runId }) : null;
  const isOwn = first === null || first.commandId === command.commandId;
  return isOwn ? triggeredEvent(command, { sync, runId }) : claimedEvent(first, { workspaceId, sync, runId });
}

interface CausedRun {
  sync: Pick<TriggeredSync, "id" | "name">;
  runId: number;
}

/** The first event of a run, but for its place in the log. */
export type FirstEvent =
  | {
      type: "sync.triggered";
      state: string;
      data: EventData<"sync.triggered">;
      traceparent: string | undefined;
    }
  | { type: "sync.skipped"; state: string; data: EventData<"sync.skipped">; traceparent: string | undefined };

/** How the run of a trigger begins. */
export function triggeredEvent(command: CommandInHand<"trigger">, run: CausedRun): FirstEvent {
  const { force_full_sync, allow_deletes, allow_rejects } = command.payload;
  const data: EventData<"sync.triggered"> = {
    ...factsOf(command, run),
    force_full_sync,
    ...(allow_deletes === true ? { allow_deletes } : {}),
    ...(allow_rejects === true ? { allow_rejects } : {}),
  };
  const { state } = begin(runBehaviour, undefined);
  return { type: "sync.triggered", state, data, traceparent: command.traceparent };
}

/** How a run begins as what it was claimed for, whoever begins it. */
export function claimedEvent(
  { commandId, reason, asked }: KeptClaim,
  { workspaceId, sync, runId }: CausedRun & { workspaceId: number },
): FirstEvent {
  const payload = { ...asked, sync: sync.id, ...(reason === null ? {} : { reason }) };
  return triggeredEvent({ workspaceId, commandId, payload, traceparent: undefined }, { sync, runId });
}

function skippedEvent(
  command: CommandInHand<"trigger">,
  run: CausedRun & { runningRunId: number },
): FirstEvent {
  const data: EventData<"sync.skipped"> = { ...factsOf(command, run), running_run_id: run.runningRunId };
  const { state } = begin(runBehaviour, { isSkipped: true });
  return { type: "sync.skipped", state, data, traceparent: command.traceparent };
}

function factsOf(
  {
    workspaceId,
    commandId,
    payload,
  }: Pick<CommandInHand<"trigger">, "workspaceId" | "commandId" | "payload">,
  { sync, runId }: CausedRun,
) {
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

/** Appends the first event of a run; a run that is there already stays as it is. */
export async function beginInLog(log: Pick<EventLog, "append">, first: FirstEvent): Promise<void> {
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = first.data;
  const draft = { ...first, machine: SYNC_RUN_MACHINE };
  try {
    await log.append({ kind: "run", workspaceId, syncId, runId }, draft, NEW_AGGREGATE);
  } catch (error) {
    // This command, or another that it waits with, came before.
    if (!(error instanceof VersionConflict)) throw error;
  }
}
