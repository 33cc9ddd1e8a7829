/** The loading phase: batches become deliveries a few at a time, and the run waits until each has ended. */
import type { EventData } from "../../domain/event.ts";
import { DESTINATION_RETRY_DELAYS_MS } from "../../domain/retryPolicy.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { DeliveryIntake } from "../deliveries/deliveryIntake.ts";
import { createTraced } from "../deliveries/tracedIntake.ts";
import { onSettled } from "../hints.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { LoadTotals, PlannedBatch, RunSession } from "./runSession.ts";

export interface Loading {
  connection: LogConnection;
  intake: DeliveryIntake;
  tracing: Tracing;
  /** Of the loading phase. */
  traceparent: string | undefined;
  session: RunSession;
  ids: { workspace_id: number; sync_id: number; sync_run_id: number };
  destinationId: number;
  /** How long the destination has for one batch, ms. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Told often. Between two counts, batches that have an outcome are taken for accepted. */
  onProgress(totals: LoadTotals): void;
  /** Asked often, where given: whether no further batch is to be sent. */
  isStopped?(totals: LoadTotals): boolean;
}

/** Batches that are deliveries at one time, at least: enough to keep every slot of a slow destination busy. */
const FEWEST = 64;
/** And at most: what a destination that takes thousands a second settles while they go through the log. */
const MOST = 512;
/** Between the two, what is settled in so long, ms; at most twice as many as before. */
const AHEAD_MS = 100;
/** Hints can be lost: then the outcomes are read after this time, ms. */
const RECOUNT_MS = 1_000;
/** The same for a run that has to stop soon after too much went wrong. */
const WATCHED_RECOUNT_MS = 100;

/**
 * Feeds the plan's batches to the delivery workers. Returns when none is open, or, once the destination was
 * given up, when those under way have ended; the rest of the plan is then left for the next run's diff.
 */
export async function loadBatches(loading: Loading): Promise<LoadTotals> {
  const { connection, session, ids, signal, isStopped } = loading;
  const recountMs = isStopped === undefined ? RECOUNT_MS : WATCHED_RECOUNT_MS;
  /** Rows of each batch that is a delivery and has no outcome yet. */
  const outstanding = new Map<number, number>();
  const waiter = new Waiter(signal);
  const pace = new Pace();
  let fed = 0;
  // Nothing more to feed for now; a batch that was split leaves halves behind the last one.
  let isDrained = false;
  let isGivenUp = false;
  let countedAt = 0;
  let counted: LoadTotals | null = null;
  let settledSince = 0;
  const stopHints = onSettled(connection, ids.sync_run_id, (batchNos) => {
    pace.settled(batchNos.length);
    for (const batchNo of batchNos) {
      settledSince += outstanding.get(batchNo) ?? 0;
      outstanding.delete(batchNo);
    }
    if (counted !== null)
      loading.onProgress({ ...counted, acceptedRecords: counted.acceptedRecords + settledSince });
    isDrained = false;
    waiter.wake();
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      if (Date.now() - countedAt >= recountMs || (outstanding.size === 0 && (isDrained || isGivenUp))) {
        settledSince = 0;
        const totals = await session.totals();
        countedAt = Date.now();
        counted = totals;
        loading.onProgress(totals);
        await forgetSettled(session, outstanding);
        if (totals.unavailableBatches > 0 || isStopped?.(totals) === true) isGivenUp = true;
        if (outstanding.size === 0 && (isGivenUp || totals.open === 0)) return totals;
        // Fed and settled, yet open: whatever a lost hint or a dead worker left behind is fed once more.
        if (outstanding.size === 0 && isDrained) fed = 0;
        if (totals.open > outstanding.size) isDrained = false;
      }
      const window = pace.window();
      if (!isGivenUp && !isDrained && outstanding.size <= window / 2) {
        const batches = await session.batchesToFeed(fed, window - outstanding.size);
        for (const { batchNo, records } of batches) outstanding.set(batchNo, records);
        isDrained = batches.length === 0;
        await Promise.all(
          batches.map((batch) => createTraced(loading, loading.traceparent, batchDelivery(loading, batch))),
        );
        fed = batches.at(-1)?.batchNo ?? fed;
        continue;
      }
      if (outstanding.size > 0) await waiter.wait(RECOUNT_MS);
    }
  } finally {
    session.letGo();
    stopHints();
    waiter.close();
  }
}

async function forgetSettled(session: RunSession, outstanding: Map<number, number>): Promise<void> {
  if (outstanding.size === 0) return;
  const open = new Set(await session.stillOpen([...outstanding.keys()]));
  for (const batchNo of outstanding.keys()) if (!open.has(batchNo)) outstanding.delete(batchNo);
}

/** Id of the delivery of a batch, or of a half by its name: the same over retries and restarts (I5). */
export function batchDeliveryId(runId: number, batch: number | string): string {
  return `${runId}-${batch}`;
}

function batchDelivery(
  { ids, destinationId, timeoutMs }: Loading,
  batch: PlannedBatch,
): EventData<"delivery.pending"> {
  return {
    ...ids,
    target_kind: "destination",
    target_id: destinationId,
    delivery_id: batchDeliveryId(ids.sync_run_id, batch.name ?? batch.batchNo),
    fact: "created",
    event: null,
    event_id: null,
    retry_delays_ms: [...DESTINATION_RETRY_DELAYS_MS],
    timeout_ms: timeoutMs,
    records: batch.records,
    payload: null,
    payload_sha256: batch.bodySha256,
  };
}

/** How many batches may be deliveries at one time, by how quickly they were settled of late. */
class Pace {
  #count = 0;
  #sinceMs = performance.now();
  #window = FEWEST;

  settled(batches: number): void {
    this.#count += batches;
    const elapsedMs = performance.now() - this.#sinceMs;
    // Half a window is enough to go by: a small plan would be through before the time is.
    if (elapsedMs < AHEAD_MS && this.#count < this.#window / 2) return;
    const wanted = Math.ceil((this.#count * AHEAD_MS) / elapsedMs);
    this.#window = Math.min(MOST, 2 * this.#window, Math.max(FEWEST, wanted));
    this.#count = 0;
    this.#sinceMs = performance.now();
  }

  window(): number {
    return this.#window;
  }
}

/** Waits for a wake-up or a time, whichever comes first; an abort ends the wait. */
class Waiter {
  readonly #signal: AbortSignal;
  #resolve: () => void = () => undefined;
  #woken = false;
  readonly #onAbort = () => this.wake();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort);
  }

  wake(): void {
    this.#woken = true;
    this.#resolve();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#woken && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#resolve = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#woken = false;
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
