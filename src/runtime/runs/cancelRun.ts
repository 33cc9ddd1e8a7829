/** Cancels a run: the wish is a fact in its history, so whoever has the run or takes it over honours it. */
import { SYNC_RUN_MACHINE } from "../../../machines/syncRun.ts";
import { TRIAL_RUN_MACHINE } from "../../../machines/trialRun.ts";
import type { RunAggregate, TrialAggregate } from "../../domain/aggregate.ts";
import { VersionConflict } from "../../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../../domain/event.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { type Actor, decide, hasEnded, record, replay } from "../actor.ts";
import type { CommandHandler } from "../commandInHand.ts";
import { publishCanceled } from "../hints.ts";
import { trialBehaviour } from "../trials/trialActor.ts";
import { findRunById } from "./findRun.ts";
import { RunHistory, runBehaviour, runFact } from "./runActor.ts";
import { badEndOf, canceledBy, conclusionOf, type StepResult } from "./runSteps.ts";

/** What cancelling works with. */
export interface CancelParts {
  connection: LogConnection;
  log: EventLog;
  /** Frees the sync of a run that ends before a worker took it; safe to call twice. */
  release(syncId: number, runId: number): Promise<void>;
}

/** Which run, and who asks. */
export interface CancelRequest {
  workspaceId: number;
  runId: number;
  commandId: string;
  requestedBy: string;
  traceparent?: string | undefined;
}

/**
 * `canceled`: it has ended, or its worker knows and ends it. `unknown` and `ended` changed nothing; `words` says how
 * far the run is.
 */
export type CancelAnswer =
  | { kind: "canceled"; run: RunAggregate | TrialAggregate }
  | { kind: "unknown" }
  | { kind: "ended"; words: string };

/** Asking twice is asking once. A run that another moves meanwhile is looked at again. */
export async function cancelRun(parts: CancelParts, request: CancelRequest): Promise<CancelAnswer> {
  const run = await findRunById(parts.connection, request);
  if (run === null) return { kind: "unknown" };
  for (;;) {
    try {
      const stored = await parts.log.load(run);
      return run.kind === "trial"
        ? await cancelTrial(parts, run, { stored, request })
        : await cancelSyncRun(parts, run, { stored, request });
    } catch (error) {
      if (!(error instanceof VersionConflict)) throw error;
    }
  }
}

interface InHand {
  stored: StoredEvent[];
  request: CancelRequest;
}

async function cancelSyncRun(
  parts: CancelParts,
  run: RunAggregate,
  { stored, request }: InHand,
): Promise<CancelAnswer> {
  const history = new RunHistory(stored);
  let actor: Actor = replay(runBehaviour, run, stored);
  const asked = history.data("sync.cancel_requested");
  if (asked === null) {
    const fact = { type: "sync.cancel_requested" } as const;
    if (!actor.snapshot.can(fact)) return { kind: "ended", words: wordsFor(history) };
    const { commandId: command_id, requestedBy: requested_by } = request;
    const data = { ...history.ids, command_id, requested_by };
    actor = await append(parts.log, actor, { type: "sync.cancel_requested", data }, { history, request });
  } else if (hasEnded(actor.snapshot) && asked.command_id !== request.commandId) {
    return { kind: "ended", words: wordsFor(history) };
  }
  publishCanceled(parts.connection, run.runId);
  // No worker has it: nothing is under way, and nobody else would end it at once.
  if (history.data("sync.started") === null) await endQueued(parts, actor, { history, request });
  return { kind: "canceled", run };
}

async function endQueued(
  parts: CancelParts,
  actor: Actor,
  { history, request }: { history: RunHistory; request: CancelRequest },
): Promise<void> {
  let current = actor;
  if (history.data("sync.completed") === null) {
    const end = badEndOf(history, canceledBy(history), null);
    current = await append(parts.log, current, end, { history, request });
  }
  if (hasEnded(current.snapshot)) return;
  const { syncId, runId } = history.aggregate;
  await parts.release(syncId, runId);
  await append(parts.log, current, conclusionOf(history), { history, request });
}

async function append(
  log: EventLog,
  actor: Actor,
  { type, data }: StepResult,
  { history, request }: { history: RunHistory; request: CancelRequest },
): Promise<Actor> {
  const decision = decide(actor.snapshot, runFact({ type, data }));
  const draft = { type, machine: SYNC_RUN_MACHINE, data, traceparent: request.traceparent };
  const next = await record(log, actor, { decision, draft });
  history.add(next.event);
  return next;
}

async function cancelTrial(
  parts: CancelParts,
  run: TrialAggregate,
  { stored, request }: InHand,
): Promise<CancelAnswer> {
  const actor = replay(trialBehaviour, run, stored);
  const last = stored.at(-1)?.event as AnyEvent;
  if (hasEnded(actor.snapshot)) {
    const isOurs = last.type === "trial.failed" && last.data.command_id === request.commandId;
    return isOurs ? { kind: "canceled", run } : { kind: "ended", words: `it has ended: ${last.state}` };
  }
  const data = {
    workspace_id: run.workspaceId,
    sync_id: run.syncId,
    sync_run_id: run.runId,
    canceled: true,
    command_id: request.commandId,
    error_code: "SYNC_CANCELED",
    error_message: `The run was canceled: ${request.requestedBy}`,
    error_detail: null,
  };
  const decision = decide(actor.snapshot, { type: "trial.failed" });
  const draft = { type: "trial.failed", machine: TRIAL_RUN_MACHINE, data } as const;
  await record(parts.log, actor, { decision, draft: { ...draft, traceparent: request.traceparent } });
  publishCanceled(parts.connection, run.runId);
  return { kind: "canceled", run };
}

function wordsFor(history: RunHistory): string {
  if (history.data("sync.skipped") !== null) return "it was skipped";
  const completed = history.data("sync.completed");
  if (completed === null) return "all its rows were sent, and it ends within moments";
  return completed.canceled ? "it was canceled before" : `it has ended: ${completed.error_code ?? "success"}`;
}

/** The command `cancel`. */
export const handleCancel: CommandHandler<"cancel"> = async (tools, command) => {
  const { workspaceId, commandId, payload, traceparent } = command;
  const runId = payload.run;
  const via = payload.requested_via === "CLI" ? "egret cancel" : payload.requested_via;
  const requestedBy = payload.reason ?? via;
  const request = { workspaceId, runId, commandId, requestedBy, traceparent };
  const answer = await cancelRun(
    { ...tools, release: (syncId, id) => tools.desk.releaseRun(syncId, id) },
    request,
  );
  if (answer.kind === "canceled") {
    return { kind: "done", facts: { "egret.sync.id": answer.run.syncId, "egret.run.id": runId } };
  }
  const refusal =
    answer.kind === "unknown"
      ? ({
          code: "UNKNOWN_RUN",
          message: `run: workspace ${workspaceId} has no run ${runId}; nothing was changed`,
        } as const)
      : ({
          code: "RUN_ENDED",
          message: `run ${runId} cannot be canceled any more: ${answer.words}; nothing was changed`,
          runId,
        } as const);
  return { kind: "refused", refusal };
};
