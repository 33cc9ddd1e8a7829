/** Sends batches to destinations: the stored bytes, at the rate that the connection allows. */
import { setTimeout as delay } from "node:timers/promises";
import type { DestinationSender, SendResult } from "../destinations/destination.ts";
import type { Destination } from "../domain/configuration.ts";
import { LogCorrupt } from "../domain/errors.ts";
import { destinationDelayMs, MAX_RETRY_AFTER_MS } from "../domain/retryPolicy.ts";
import { readBatch } from "../engine/settle.ts";
import type { LogConnection } from "../log/connection.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { AttemptOutcome, Target } from "./attempt.ts";
import type { PendingData } from "./deliveryActor.ts";
import { RateLimits } from "./rateLimit.ts";
import { remember } from "./recent.ts";
import { Settler } from "./settler.ts";

export interface DestinationTargetOptions {
  /** Null when the destination was deleted. */
  readDestination(id: number): Promise<Destination | null>;
  /** What differs when a destination changed, see recent.ts. */
  stamps?: (ids: number[]) => Promise<Map<number, string>>;
  database: OpenDatabase;
  connection: LogConnection;
  sender: DestinationSender;
  /** In [0, 1), for the jitter of retries. */
  random?: () => number;
}

/** A changed setting holds for attempts that start later than this, ms. */
const MEMORY_MS = 500;

/** The target that destinations are. */
export function destinationTarget(options: DestinationTargetOptions): Target {
  const { readDestination, database, connection, sender, random = Math.random } = options;
  const recent = remember({ ttlMs: MEMORY_MS, read: readDestination, stamps: options.stamps });
  const settler = new Settler(database, connection);
  const limits = new RateLimits();
  return {
    async bounds(targetId) {
      const destination = await recent(targetId);
      const atOnce = destination?.settings.parallel_requests ?? 1;
      return {
        fewest: atOnce,
        most: atOnce,
        isPaused: destination?.paused === true,
        isGone: destination === null,
      };
    },
    async attempt(pending, attempt, context) {
      const destination = await recent(pending.target_id);
      if (destination === null) return { kind: "dropped", reason: "target_deleted" };
      const batch = await readBatch(database.db, pending.sync_run_id, batchNoOf(pending));
      // Without bytes the run has ended and given the batch up; nothing may be sent for it any more.
      if (batch === null || batch.body === null) return { kind: "dropped", reason: "run_ended" };
      const waitMs = limits.take(destination.id, destination.settings.rate_limit_per_second);
      if (waitMs > 0) await delay(waitMs);
      context?.sending?.(destination.settings);
      const answer = await sender.sendBatch(destination, {
        body: batch.body,
        idempotencyKey: pending.delivery_id,
        traceparent: context?.traceparent,
      });
      return outcomeOf(answer, { attempt, random, pause: (ms) => limits.pause(destination.id, ms) });
    },
    settle: ({ pending, outcome, statusMessage }) =>
      settler.settle({ runId: pending.sync_run_id, batchNo: batchNoOf(pending), outcome, statusMessage }),
  };
}

/** Number of the batch that a delivery's id names. */
export function batchNoOf({ delivery_id: id }: Pick<PendingData, "delivery_id">): number {
  const batchNo = Number(id.slice(id.lastIndexOf("-") + 1));
  if (!Number.isSafeInteger(batchNo)) throw new LogCorrupt(`delivery ${id} names no batch`);
  return batchNo;
}

function outcomeOf(
  answer: SendResult,
  { attempt, random, pause }: { attempt: number; random: () => number; pause(ms: number): void },
): AttemptOutcome {
  const { startedAt, durationMs, exchange } = answer;
  const timing = { startedAt, durationMs, exchange };
  if (answer.kind === "accepted") return { kind: "accepted", httpStatus: answer.httpStatus, ...timing };
  const { httpStatus, error, statusMessage } = answer;
  if (answer.kind === "refused")
    return { kind: "refused", httpStatus: answer.httpStatus, error, statusMessage, ...timing };
  const { retryAfterMs } = answer;
  if (retryAfterMs !== null && retryAfterMs > MAX_RETRY_AFTER_MS && httpStatus !== null) {
    const text = `${error}, and asked for a wait of ${Math.round(retryAfterMs / 1000)} s: more than we wait`;
    return { kind: "refused", httpStatus, error: text, statusMessage: text, ...timing };
  }
  if (retryAfterMs !== null) pause(retryAfterMs);
  return {
    kind: "failed",
    httpStatus,
    error,
    delayMs: destinationDelayMs(attempt, retryAfterMs, random()),
    ...timing,
  };
}
