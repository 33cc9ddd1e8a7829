/** The effects of the run machine: each performs one step and says which fact came of it. Safe to perform twice. */
import { RunFailure } from "../../domain/errors.ts";
import type { EventData, EventType } from "../../domain/event.ts";
import { rejectGuard } from "../../engine/fuses.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { DeliveryIntake } from "../deliveries/deliveryIntake.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import { drainBatches } from "./draining.ts";
import { loadBatches } from "./loading.ts";
import { orAborted } from "./orAborted.ts";
import type { RunHistory } from "./runActor.ts";
import type { LoadTotals, RunSession } from "./runSession.ts";
import { stepProgress } from "./stepProgress.ts";

/** A run in work: its history, the engine's session, and the signals that ask it to stop. */
export interface RunInWork {
  history: RunHistory;
  session: RunSession;
  connection: LogConnection;
  log: EventLog;
  intake: DeliveryIntake;
  tracing: Tracing;
  worker: string;
  /** Aborts the step at hand: the run is to be parked, or cancelled. */
  signal: AbortSignal;
  /** Aborts when the run is to be parked; what ends a cancelled run listens to this one alone. */
  parking: AbortSignal;
  now(): number;
}

/** The event that a step leads to. */
export type StepResult = { [T in EventType]: { type: T; data: EventData<T> } }[EventType];

/** `traceparent` is that of the step itself. */
type Step = (run: RunInWork, traceparent: string | undefined) => Promise<StepResult>;

const start: Step = async ({ history, worker }) => ({
  type: "sync.started",
  data: { ...history.ids, worker },
});

const check: Step = async ({ history, session, signal }) => {
  const checked = session.check(history.triggered.force_full_sync);
  const { destinationId, fullSync, reasons } = await orAborted(signal, checked);
  return {
    type: "sync.checked",
    data: { ...history.ids, destination_id: destinationId, full_sync: fullSync, full_sync_reasons: reasons },
  };
};

const snapshot: Step = async (run) => {
  const { history, session } = run;
  const started = performance.now();
  const progress = stepProgress({ ...run, ids: run.history.ids }, "snapshotting");
  const { sourceRecordCount } = await session.snapshot((rows) => progress({ rows_read: rows }), run.signal);
  return {
    type: "sync.snapshotted",
    data: { ...history.ids, source_record_count: sourceRecordCount, duration_ms: elapsed(started) },
  };
};

const plan: Step = async (run) => {
  const { history, session } = run;
  const started = performance.now();
  const progress = stepProgress({ ...run, ids: history.ids }, "diffing");
  const rows_read = history.counters.source_record_count ?? 0;
  progress({ rows_read });
  const planned = await session.plan({
    fullSync: history.data("sync.checked")?.full_sync ?? false,
    allowDeletes: history.triggered.allow_deletes === true,
    syncRunAt: history.at("sync.started") ?? new Date(run.now()),
    onProgress: (rows) => progress({ rows_read, records_planned: rows }),
    signal: run.signal,
  });
  return {
    type: "sync.planned",
    data: {
      ...history.ids,
      source_record_count: planned.sourceRecordCount,
      source_record_updates: planned.updates,
      source_record_deletes: planned.deletes,
      source_record_invalids: planned.invalids,
      batches: planned.batches,
      duration_ms: elapsed(started),
    },
  };
};

const load: Step = async (run, traceparent) => {
  const { history, session, connection, intake, tracing, signal } = run;
  const { counters, ids } = history;
  const progress = stepProgress({ ...run, ids: run.history.ids }, "loading");
  const planned = (counters.source_record_updates ?? 0) + (counters.source_record_deletes ?? 0);
  let shown = 0;
  const onProgress = ({ acceptedRecords, rejectedRecords }: LoadTotals) => {
    // What was a guess between two counts never makes the run go backwards, nor beyond its end.
    shown = Math.min(Math.max(shown, acceptedRecords), Math.max(0, planned - rejectedRecords));
    progress({
      rows_read: counters.source_record_count ?? 0,
      records_planned: planned,
      records_sent: shown,
      records_failed: rejectedRecords,
    });
  };
  const destinationId = history.data("sync.checked")?.destination_id ?? 0;
  const timeoutMs = await session.destinationTimeoutMs();
  const isFused = history.triggered.allow_rejects !== true;
  const maxRejectedPercent = isFused ? await session.maxRejectedPercent() : null;
  const blownFuse = ({ rejectedRecords: rejected }: LoadTotals) =>
    rejectGuard({ rejected, planned }, maxRejectedPercent);
  const totals = await loadBatches({
    connection,
    intake,
    tracing,
    traceparent,
    session,
    ids,
    destinationId,
    timeoutMs,
    signal,
    onProgress,
    ...(maxRejectedPercent === null ? {} : { isStopped: (soFar) => blownFuse(soFar) !== null }),
  });
  if (totals.unavailableBatches > 0) throw unavailable(totals.unavailableMessage);
  const blown = blownFuse(totals);
  if (blown !== null) throw blown;
  return {
    type: "sync.loaded",
    data: {
      ...ids,
      records_processed: totals.acceptedRecords + totals.rejectedRecords,
      records_updated: totals.acceptedRecords,
      records_failed: totals.rejectedRecords,
    },
  };
};

const cancel: Step = async (run) => {
  const { history, session } = run;
  if (history.data("sync.planned") !== null) {
    await drainBatches({
      ...run,
      signal: run.parking,
      destinationId: history.data("sync.checked")?.destination_id ?? 0,
      timeoutMs: await session.destinationTimeoutMs(),
    });
  }
  return failureOf(run, canceledBy(history));
};

const commit: Step = async ({ history, session }) => {
  await session.commit();
  return {
    type: "sync.completed",
    data: {
      ...history.ids,
      ...history.counters,
      status: "ok",
      canceled: false,
      full_sync: history.data("sync.checked")?.full_sync ?? false,
      error_code: null,
      error_message: null,
      error_detail: null,
    },
  };
};

const conclude: Step = async ({ history, session }) => {
  // First: whoever sees the run's last event may trigger the sync again at once.
  await session.release();
  return conclusionOf(history);
};

/** The last event of a run that has completed. */
export function conclusionOf(history: RunHistory): StepResult {
  const completed = history.data("sync.completed");
  const from = history.at("sync.started") ?? history.at("sync.triggered");
  const to = history.at("sync.completed");
  const durationMs = from === null || to === null ? 0 : to.getTime() - from.getTime();
  if (completed?.status === "ok")
    return { type: "sync.success", data: { ...history.ids, duration_ms: durationMs } };
  return {
    type: "sync.failed",
    data: {
      ...history.ids,
      duration_ms: durationMs,
      error_code: completed?.error_code ?? null,
      error_message: completed?.error_message ?? null,
    },
  };
}

/** The step behind each effect of the run machine. */
export const RUN_STEPS: Readonly<Record<string, Step>> = {
  start,
  check,
  snapshot,
  plan,
  load,
  cancel,
  commit,
  conclude,
};

/** The event by which a run ends badly from wherever it is. Records accepted before stay accepted. */
export async function failureOf({ history, session }: RunInWork, failure: RunFailure): Promise<StepResult> {
  const planned = history.data("sync.planned") !== null;
  const totals = planned ? await session.totals() : null;
  return badEndOf(history, failure, totals);
}

/** That event, when it is known what became of the plan; null when there was none. */
export function badEndOf(
  history: RunHistory,
  failure: RunFailure,
  totals: Pick<LoadTotals, "acceptedRecords" | "rejectedRecords"> | null,
): StepResult {
  const sent = totals === null ? null : totals.acceptedRecords + totals.rejectedRecords;
  return {
    type: "sync.completed",
    data: {
      ...history.ids,
      ...history.counters,
      records_processed: sent,
      records_updated: totals?.acceptedRecords ?? null,
      records_failed: totals?.rejectedRecords ?? null,
      status: "emergency",
      canceled: failure.runCode === "SYNC_CANCELED",
      full_sync: history.data("sync.checked")?.full_sync ?? false,
      error_code: failure.runCode,
      error_message: failure.message,
      error_detail: failure.detail,
    },
  };
}

/** Why a run that somebody asked to cancel ends. */
export function canceledBy(history: RunHistory): RunFailure {
  const by = history.data("sync.cancel_requested")?.requested_by ?? "somebody";
  const isSending = history.data("sync.planned") !== null;
  const detail = isSending
    ? "Rows accepted before stay accepted; the next run sends the rest."
    : "Nothing was sent; trigger the sync to begin again.";
  return new RunFailure("SYNC_CANCELED", `The run was canceled: ${by}`, detail);
}

function unavailable(message: string | null): RunFailure {
  const detail =
    "Rows accepted before stay accepted; the next run sends the rest. Check that the destination is up.";
  if (message !== null && /^HTTP 40[13]/.test(message)) {
    return new RunFailure(
      "DESTINATION_CONNECTION_FAILED",
      `The destination does not let us in: it answered ${message} again and again`,
      "Rows accepted before stay accepted; the next run sends the rest. Check the destination's credentials.",
    );
  }
  return message?.startsWith("HTTP ") === true
    ? new RunFailure("DESTINATION_SERVER_ERROR", `The destination kept answering ${message}`, detail)
    : new RunFailure(
        "DESTINATION_CONNECTION_FAILED",
        `The destination cannot be reached: ${message ?? "unknown"}`,
        detail,
      );
}

function elapsed(startedMs: number): number {
  return Math.round(performance.now() - startedMs);
}
