/** Sends batches to destinations: the stored bytes, at the rate that the connection allows. */
import { setTimeout as delay } from "node:timers/promises";
import type { DestinationSender, SendResult, StoredRequest } from "../../destinations/destination.ts";
import type { Destination } from "../../domain/configuration.ts";
import { LogCorrupt, Unavailable } from "../../domain/errors.ts";
import { destinationDelayMs, MAX_RETRY_AFTER_MS } from "../../domain/retryPolicy.ts";
import { type CutBody, cutFor } from "../../engine/cutBody.ts";
import type { HeldBatches } from "../../engine/heldBatches.ts";
import {
  type BatchAsked,
  type BatchToSend,
  halfNumber,
  keepRowErrors,
  readBatch,
  readBatches,
  readBatchKeys,
} from "../../engine/settle.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { Together } from "../together.ts";
import type { AttemptContext, AttemptOutcome, Target } from "./attempt.ts";
import type { PendingData } from "./deliveryActor.ts";
import { LockedOut } from "./lockedOut.ts";
import { RateLimits } from "./rateLimit.ts";
import { remember } from "./recent.ts";
import { RequestSlots, SMALL_RECORDS } from "./requestSlots.ts";
import { Settler } from "./settler.ts";

export interface DestinationTargetOptions {
  /** Null when the destination was deleted. */
  readDestination(id: number): Promise<Destination | null>;
  /** What differs when a destination changed, see recent.ts. */
  stamps?: (ids: number[]) => Promise<Map<number, string>>;
  /** The sync's `split_rejected_batches`; null when it leaves that to the kind of its destination. */
  readSplitOption(syncId: number): Promise<boolean | null>;
  database: OpenDatabase;
  /** Batches that were read when they were fed, by a run that is loaded in this process. */
  held?: HeldBatches;
  connection: LogConnection;
  sender: DestinationSender;
  /** Whether rows stay as they were sent, for people to look at; not given, they go with the batch's outcome. */
  keepsRows?: boolean;
  /** In [0, 1), for the jitter of retries. */
  random?: () => number;
}

/** A changed setting holds for attempts that start later than this, ms. */
const MEMORY_MS = 500;
/** A batch that was read longer ago is read again before it is sent: its run may have ended meanwhile, ms. */
const FRESH_MS = 200;
/** For a longer wait that the destination asked for, its deliveries wait where they cost nothing, ms. */
const LONGEST_WAIT_HERE_MS = 1_000;

/** Answers of 4xx that speak of the endpoint and not of a row: halves would be refused as well. Source: ours; 12.3. */
const OF_THE_ENDPOINT: ReadonlySet<number> = new Set([401, 403, 404, 405, 410, 429]);

type WholeBatch = BatchToSend & { body: Buffer };

interface Sending {
  pending: PendingData;
  batch: WholeBatch;
  attempt: number;
  context?: AttemptContext | undefined;
}

/** The target that destinations are. */
export function destinationTarget(options: DestinationTargetOptions): Target {
  const { readDestination, database, connection, sender, random = Math.random } = options;
  const recent = remember({ ttlMs: MEMORY_MS, read: readDestination, stamps: options.stamps });
  const splitOption = remember({ ttlMs: MEMORY_MS, read: options.readSplitOption });
  const settler = new Settler(database, connection, { keepsRows: options.keepsRows });
  const limits = new RateLimits();
  const lockedOut = new LockedOut();
  const slots = slotsWithBatches(batchReader(options));

  /** How a rejected batch is cut in two; undefined when it is not. */
  async function cutOf(pending: PendingData, httpStatus: number | null): Promise<CutBody | undefined> {
    if (httpStatus === null || httpStatus < 400 || httpStatus >= 500) return undefined;
    if (OF_THE_ENDPOINT.has(httpStatus)) return undefined;
    const destination = await recent(pending.target_id);
    if (destination === null) return undefined;
    const isSplit = (await splitOption(pending.sync_id)) ?? destination.type === "webhook";
    return isSplit ? cutFor(destination) : undefined;
  }

  async function request(
    destination: Destination,
    { pending, batch, attempt, context }: Sending,
  ): Promise<AttemptOutcome> {
    await waitForTurn(limits, destination);
    const stored = batch.request === null ? null : (JSON.parse(batch.request) as StoredRequest);
    context?.sending?.({
      method: stored?.method ?? destination.settings.method,
      url: destination.settings.url,
    });
    const place = { runId: pending.sync_run_id, batchNo: batch.batchNo };
    const isByRow = destination.settings.row_results !== undefined;
    const answer = await sender.sendBatch(destination, {
      body: batch.body,
      request: stored,
      ...(isByRow ? { keys: await readBatchKeys(database.db, place.runId, place.batchNo) } : {}),
      idempotencyKey: idempotencyKeyOf(pending),
      traceparent: context?.traceparent,
    });
    lockedOut.answered(destination.id, answer.httpStatus);
    // Before the event that ends the delivery: a crash after that must not make all rows accepted ones.
    if (answer.kind === "accepted" && answer.rowErrors !== undefined)
      await keepRowErrors(database.db, place, answer.rowErrors);
    return outcomeOf(answer, { attempt, random, pause: (ms) => limits.pause(destination.id, ms) });
  }

  return {
    async bounds(targetId) {
      const destination = await recent(targetId);
      const attempts = slots.attempts(targetId, destination?.settings.parallel_requests ?? 1);
      return {
        fewest: attempts,
        most: attempts,
        isPaused: destination?.paused === true || limits.pausedMs(targetId) > LONGEST_WAIT_HERE_MS,
        isGone: destination === null,
      };
    },
    async attempt(pending, attempt, context) {
      const destination = await recent(pending.target_id);
      if (destination === null) return { kind: "dropped", reason: "target_deleted" };
      const { id, settings } = destination;
      const place = { id, atOnce: settings.parallel_requests, records: pending.records };
      return slots.take(place, pending, (batch) =>
        request(destination, { pending, batch, attempt, context }),
      );
    },
    async settle({ pending, outcome, httpStatus, statusMessage }) {
      const runId = pending.sync_run_id;
      const batch = batchOf(pending);
      const batchNo = typeof batch === "number" ? batch : await halfNumber(database.db, runId, batch);
      if (batchNo === null) return;
      const batchSettled = { runId, batchNo, records: pending.records, syncId: pending.sync_id };
      if (outcome === "rejected" && lockedOut.isSo(pending.target_id, httpStatus)) {
        // It becomes the run's error, which stands in the log: no word of the answer may be in it (I11).
        const message = `HTTP ${httpStatus}`;
        return settler.settle({ ...batchSettled, outcome: "unavailable", statusMessage: message });
      }
      const cutBody = outcome === "rejected" ? await cutOf(pending, httpStatus) : undefined;
      return settler.settle({ ...batchSettled, outcome, statusMessage, cutBody });
    },
  };
}

function isWhole(batch: BatchToSend): batch is WholeBatch {
  return batch.body !== null;
}

/** Slots in which batches are sent. As many as are under way are read meanwhile, so that no request waits for Postgres. */
function slotsWithBatches(read: ReadBatch) {
  const slots = new RequestSlots();
  const ahead = new RequestSlots();
  type Place = Parameters<RequestSlots["take"]>[0];
  return {
    attempts: (id: number, atOnce: number) => slots.attempts(id, atOnce),
    take: (place: Place, pending: PendingData, send: (batch: WholeBatch) => Promise<AttemptOutcome>) =>
      ahead.take({ ...place, atOnce: 2 * place.atOnce }, async () => {
        const early = await read(pending);
        const readMs = performance.now();
        return slots.take(place, async () => {
          const batch = performance.now() - readMs > FRESH_MS ? await read(pending) : early;
          // Without bytes the run has ended and given the batch up; nothing may be sent for it any more.
          if (batch === null || !isWhole(batch)) return { kind: "dropped", reason: "run_ended" };
          return send(batch);
        });
      }),
  };
}

type ReadBatch = (pending: PendingData) => Promise<BatchToSend | null>;

/** Reads the batch of a delivery: small ones together, since each read of one costs more than what it reads. */
function batchReader({ database: { pool }, held }: DestinationTargetOptions): ReadBatch {
  const reads = new Together<BatchAsked, BatchToSend | null>((asked) => readBatches(pool, asked));
  return async (pending) => {
    const asked = { runId: pending.sync_run_id, batch: batchOf(pending) };
    const known = held?.take(asked.runId, asked.batch) ?? null;
    if (known !== null) return known;
    return pending.records <= SMALL_RECORDS ? reads.ask(asked) : readBatch(pool, asked.runId, asked.batch);
  };
}

/**
 * @throws Unavailable when the destination asked for a long wait after this delivery was let through: it comes back,
 * and then waits where it costs nothing.
 */
async function waitForTurn(limits: RateLimits, destination: Destination): Promise<void> {
  const { id, name } = destination;
  if (limits.pausedMs(id) > LONGEST_WAIT_HERE_MS) {
    throw new Unavailable(`destination ${name} asked for a wait; nothing was sent`);
  }
  const perSecond =
    destination.type === "webhook"
      ? destination.settings.rate_limit_per_second
      : destination.settings.requests_per_second;
  const waitMs = limits.take(id, perSecond);
  if (waitMs > 0) await delay(waitMs);
}

/** The batch that a delivery's id names: its number, or for a half of a batch that was split the half's name. */
export function batchOf({ delivery_id: id }: Pick<PendingData, "delivery_id">): number | string {
  const name = id.slice(id.lastIndexOf("-") + 1);
  if (/^\d+(_[12])+$/.test(name)) return name;
  const batchNo = Number(name);
  if (name === "" || !Number.isSafeInteger(batchNo)) throw new LogCorrupt(`delivery ${id} names no batch`);
  return batchNo;
}

/** The same at each attempt (I5). A subject of the log cannot hold the dots of behaviour.md 5.3. */
function idempotencyKeyOf({ delivery_id: id }: PendingData): string {
  return id.replaceAll("_", ".");
}

function outcomeOf(
  answer: SendResult,
  { attempt, random, pause }: { attempt: number; random: () => number; pause(ms: number): void },
): AttemptOutcome {
  const { startedAt, durationMs, exchange } = answer;
  const timing = { startedAt, durationMs, exchange };
  if (answer.kind === "accepted") {
    const rejected = answer.rowErrors?.filter((error) => error !== null).length;
    const rows = rejected === undefined ? {} : { rejectedRecords: rejected };
    return { kind: "accepted", httpStatus: answer.httpStatus, ...rows, ...timing };
  }
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
