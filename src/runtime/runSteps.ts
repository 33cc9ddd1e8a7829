/** The effects of the run machine: each performs one step and says which fact came of it. Safe to perform twice. */
import { RunFailure } from "../domain/errors.ts";
import type { EventData, EventType } from "../domain/event.ts";
import type { LogConnection } from "../log/connection.ts";
import type { EventLog } from "../log/eventLog.ts";
import type { DeliveryIntake } from "./deliveryIntake.ts";
import { publishProgress, type RunProgress } from "./hints.ts";
import { loadBatches } from "./loading.ts";
import type { RunHistory } from "./runActor.ts";
import type { LoadTotals, RunSession } from "./runSession.ts";
import type { Tracing } from "./tracing.ts";

/** A run in work: its history, the engine's session, and the signal that asks it to stop at a safe point. */
export interface RunInWork {
  history: RunHistory;
  session: RunSession;
  connection: LogConnection;
  log: EventLog;
  intake: DeliveryIntake;
  tracing: Tracing;
  worker: string;
  signal: AbortSignal;
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

const check: Step = async ({ history, session }) => {
  const { destinationId, fullSync, reasons } = await session.check(history.triggered.force_full_sync);
  return {
    type: "sync.checked",
    data: { ...history.ids, destination_id: destinationId, full_sync: fullSync, full_sync_reasons: reasons },
  };
};

const snapshot: Step = async (run) => {
  const { history, session } = run;
  const started = performance.now();
  const progress = throttled(run, "snapshotting");
  const { sourceRecordCount } = await session.snapshot((rows) => progress({ rows_read: rows }));
  return {
    type: "sync.snapshotted",
    data: { ...history.ids, source_record_count: sourceRecordCount, duration_ms: elapsed(started) },
  };
};

const plan: Step = async (run) => {
  const { history, session } = run;
  const started = performance.now();
  throttled(run, "diffing")({ rows_read: history.counters.source_record_count ?? 0 });
  const planned = await session.plan({
    fullSync: history.data("sync.checked")?.full_sync ?? false,
    syncRunAt: history.at("sync.started") ?? new Date(run.now()),
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
  const progress = throttled(run, "loading");
  const planned = (counters.source_record_updates ?? 0) + (counters.source_record_deletes ?? 0);
  const onProgress = (totals: LoadTotals) =>
    progress({
      rows_read: counters.source_record_count ?? 0,
      records_planned: planned,
      records_sent: totals.acceptedRecords,
      records_failed: totals.rejectedRecords,
    });
  const destinationId = history.data("sync.checked")?.destination_id ?? 0;
  const timeoutMs = await session.destinationTimeoutMs();
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
  });
  if (totals.unavailableBatches > 0) throw unavailable(totals.unavailableMessage);
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
};

/** The step behind each effect of the run machine. */
export const RUN_STEPS: Readonly<Record<string, Step>> = {
  start,
  check,
  snapshot,
  plan,
  load,
  commit,
  conclude,
};

/** The event by which a run ends badly from wherever it is. Records accepted before stay accepted. */
export async function failureOf({ history, session }: RunInWork, failure: RunFailure): Promise<StepResult> {
  const planned = history.data("sync.planned") !== null;
  const totals = planned ? await session.totals() : null;
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

function unavailable(message: string | null): RunFailure {
  const detail =
    "Rows accepted before stay accepted; the next run sends the rest. Check that the destination is up.";
  return message?.startsWith("HTTP ") === true
    ? new RunFailure("DESTINATION_SERVER_ERROR", `The destination kept answering ${message}`, detail)
    : new RunFailure(
        "DESTINATION_CONNECTION_FAILED",
        `The destination cannot be reached: ${message ?? "unknown"}`,
        detail,
      );
}

const PROGRESS_EVERY_MS = 100;

function throttled(run: RunInWork, phase: RunProgress["phase"]): (facts: Partial<RunProgress>) => void {
  let last = 0;
  return (facts) => {
    if (run.now() - last < PROGRESS_EVERY_MS) return;
    last = run.now();
    const nothing = { rows_read: 0, records_planned: null, records_sent: null, records_failed: null };
    publishProgress(run.connection, { ...run.history.ids, phase, ...nothing, ...facts });
  };
}

function elapsed(startedMs: number): number {
  return Math.round(performance.now() - startedMs);
}
