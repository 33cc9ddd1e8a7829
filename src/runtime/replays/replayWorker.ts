/** Works on replays: page by page from the cursor on, no faster than asked, going on where a dead worker left off. */
import { setTimeout as delay } from "node:timers/promises";
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { REPLAY_MACHINE } from "../../../machines/replay.ts";
import { AppError, LogCorrupt, Unavailable, VersionConflict } from "../../domain/errors.ts";
import type { EventData } from "../../domain/event.ts";
import type { SkipReason } from "../../domain/replay.ts";
import { decodeEvent } from "../../log/codec.ts";
import { CONSUMERS } from "../../log/topology.ts";
import type { ReplayItem } from "../../projections/database.ts";
import { type Actor, decide, record, replay } from "../actor.ts";
import { publishReplayProgress } from "../hints.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import { isReplayEnd, replayAggregate, replayBehaviour } from "./replayActor.ts";
import { type ReplayParts, type ReplaySource, replaySource } from "./replaySource.ts";
import {
  countPage,
  endReplay,
  ensureReplay,
  type ReplayRow,
  readReplay,
  setTotal,
  takePage,
} from "./replayStore.ts";

export interface ReplayWorkerOptions extends ReplayParts {
  logger: Logger;
}

/** Replays that one process works on at once. */
const REPLAYS_AT_ONCE = 2;
/** A replay that another worker has is looked at again after this, ms. */
const ELSEWHERE_MS = 2_000;
/** Pages are this part of a second's work, so that a wish to cancel and the progress are seen soon. */
const PAGES_PER_SECOND = 2;
const LARGEST_PAGE = 100;
/** Begun at once, at the highest rate. */
const LARGEST_CHUNK = 32;

/** Starts a replay worker; several may share the work. */
export function startReplayWorker(options: ReplayWorkerOptions): WorkQueue {
  const stop = new AbortController();
  const queue = startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.eventStreams.runs,
    consumer: CONSUMERS.replays,
    concurrency: () => REPLAYS_AT_ONCE,
    logger: options.logger,
    handle: (message) => handleReplay(options, message, stop.signal),
  });
  return {
    wake: () => queue.wake(),
    close: () => {
      // A replay is left after the page in hand; whoever takes it up goes on from there.
      stop.abort();
      return queue.close();
    },
  };
}

/** Works on the replay that a message of the log asks for, to its end or until `signal` aborts. */
export async function handleReplay(
  options: ReplayWorkerOptions,
  message: Pick<JsMsg, "data" | "subject">,
  signal: AbortSignal,
): Promise<WorkResult> {
  const event = decodeEvent(message.data, message.subject);
  if (event.type !== "replay.requested") throw new LogCorrupt(`${event.type} is not a work item`);
  const { data } = event;
  await ensureReplay(options.db, data, new Date(event.time));
  const history = await options.log.load(replayAggregate(data));
  const actor = replay(replayBehaviour, replayAggregate(data), history);
  const last = history.at(-1)?.event;
  if (last !== undefined && isReplayEnd(last)) {
    await endReplay(options.db, last);
    return { kind: "done" };
  }
  const job = new ReplayJob(options, data, actor);
  try {
    return await job.work(signal);
  } catch (error) {
    if (signal.aborted) return { kind: "again", delayMs: 0 };
    if (error instanceof VersionConflict) return { kind: "again", delayMs: ELSEWHERE_MS };
    // What trying again cannot help ends the replay; our own services are waited for.
    if (error instanceof AppError && !(error instanceof Unavailable)) return job.fail(error.message);
    throw error;
  }
}

class ReplayJob {
  readonly #options: ReplayWorkerOptions;
  readonly #data: EventData<"replay.requested">;
  readonly #actor: Actor;
  readonly #source: ReplaySource;
  readonly #pageSize: number;
  readonly #chunkSize: number;
  /** The next one may begin then, in the process's own time, ms. */
  #nextAtMs = performance.now();

  constructor(options: ReplayWorkerOptions, data: EventData<"replay.requested">, actor: Actor) {
    this.#options = options;
    this.#data = data;
    this.#actor = actor;
    this.#source = replaySource(options, data.workspace_id, data.wanted);
    const { rate_per_second: rate } = data;
    this.#pageSize = Math.min(LARGEST_PAGE, Math.max(1, Math.ceil(rate / PAGES_PER_SECOND)));
    this.#chunkSize = Math.min(LARGEST_CHUNK, Math.max(1, Math.floor(rate / 20)));
  }

  async work(signal: AbortSignal): Promise<WorkResult> {
    const { db } = this.#options;
    let row = await this.#read();
    if (row.total === null) {
      await setTotal(db, row.id, await this.#source.count());
      row = await this.#read();
    }
    for (;;) {
      if (signal.aborted) return { kind: "again", delayMs: 0 };
      this.#tell(row);
      if (row.taken !== null) {
        const counts = await this.#beginAll(row.taken, signal);
        const counted = await countPage(db, row, counts);
        if (counted === null) return { kind: "again", delayMs: ELSEWHERE_MS };
        row = counted;
        continue;
      }
      const { cancelled_by } = await this.#read();
      if (cancelled_by !== null) return this.#end(row, { type: "replay.cancelled", cancelled_by });
      const { items, cursor } = await this.#source.page(row.cursor, this.#pageSize);
      if (cursor === null) return this.#end(row, { type: "replay.completed" });
      const taken = await takePage(db, row, { items, cursor });
      if (taken === null) return { kind: "again", delayMs: ELSEWHERE_MS };
      row = taken;
    }
  }

  async fail(message: string): Promise<WorkResult> {
    return this.#end(await this.#read(), { type: "replay.failed", error: message });
  }

  async #read(): Promise<ReplayRow> {
    const row = await readReplay(this.#options.db, this.#data.replay_id);
    if (row === null) throw new LogCorrupt(`replay ${this.#data.replay_id} has no row in egret.replays`);
    return row;
  }

  /** Begins each item again, a few at once, and adds up what became of them. */
  async #beginAll(items: readonly ReplayItem[], signal: AbortSignal) {
    const { requested_by: by, replay_id: replayId, rate_per_second: rate } = this.#data;
    const skipped: Partial<Record<SkipReason, number>> = {};
    let replayed = 0;
    for (let start = 0; start < items.length; start += this.#chunkSize) {
      const nowMs = performance.now();
      if (this.#nextAtMs > nowMs) await delay(this.#nextAtMs - nowMs, undefined, { signal });
      const chunk = items.slice(start, start + this.#chunkSize);
      const outcomes = await Promise.all(chunk.map((item) => this.#source.begin(item, { by, replayId })));
      const begun = outcomes.filter((outcome) => outcome === "replayed").length;
      replayed += begun;
      for (const outcome of outcomes)
        if (outcome !== "replayed") skipped[outcome] = (skipped[outcome] ?? 0) + 1;
      this.#nextAtMs = Math.max(this.#nextAtMs, nowMs) + (begun * 1_000) / rate;
    }
    return { replayed, skipped };
  }

  async #end(
    row: ReplayRow,
    end:
      | { type: "replay.completed" }
      | { type: "replay.failed"; error: string }
      | { type: "replay.cancelled"; cancelled_by: string },
  ): Promise<WorkResult> {
    const { log, db, logger } = this.#options;
    const { workspace_id, replay_id } = this.#data;
    const { type, ...why } = end;
    const { replayed, skipped } = row;
    const duration_ms = Date.now() - row.requested_at.getTime();
    const data = { workspace_id, replay_id, replayed, skipped, duration_ms, ...why };
    const decision = decide(this.#actor.snapshot, { type });
    const draft = { type, machine: REPLAY_MACHINE, data };
    const { event } = await record(log, this.#actor, { decision, draft });
    if (!isReplayEnd(event)) throw new LogCorrupt(`${event.type} does not end a replay`);
    await endReplay(db, event);
    this.#tell({ ...row, taken: null });
    logger.info({ replay: replay_id, state: decision.state, replayed, skipped, duration_ms }, type);
    return { kind: "done" };
  }

  #tell(row: ReplayRow): void {
    const { workspace_id, replay_id } = this.#data;
    const skipped = Object.values(row.skipped).reduce((sum, each) => sum + each, 0);
    const { total, replayed } = row;
    publishReplayProgress(this.#options.connection, { workspace_id, replay_id, total, replayed, skipped });
  }
}
