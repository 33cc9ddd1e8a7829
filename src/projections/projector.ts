/** The projector: follows each stream of the log and keeps the read models up to date, one projector a stream at a time. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { LogCorrupt, toError } from "../domain/errors.ts";
import { tryLeadStream } from "./advisoryLocks.ts";
import { readCheckpoint, verifyCheckpoint, waitForSequence } from "./checkpoint.ts";
import type { OpenDatabase } from "./database.ts";
import { type EventSource, STREAMS, type StreamName } from "./eventSource.ts";
import { type BatchOutcome, type EventBatch, projectBatch } from "./projectEvents.ts";

/** What the projector says of itself; pino fits. */
export interface ProjectorLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a projector needs. It holds one connection of the pool for each stream that it leads. */
export interface ProjectorOptions {
  source: EventSource;
  database: OpenDatabase;
  log: ProjectorLogger;
  streams?: readonly StreamName[];
  /** Events per transaction at most. */
  maxBatch?: number;
  /** Told once for each stream whose read models cannot go on without a person; that stream stands still. */
  onCorrupt?: (error: LogCorrupt, stream: StreamName) => void;
}

/** A projector at work. */
export interface Projector {
  /** Ends the batch in hand, gives the streams up to other projectors, and resolves when all is released. */
  close(): Promise<void>;
  /** Resolves true once a stream is projected up to a sequence, false when timeoutMs passed first. */
  waitFor(stream: StreamName, sequence: number, timeoutMs: number): Promise<boolean>;
}

const DEFAULT_MAX_BATCH = 1_000;
/** After a batch that was not full, the next one gathers for so long; one that comes later is projected at once. */
const GATHERING = { mostMs: 40, quietMs: 40 };
/** After one of so many events it gathers longer: with thousands a second, fewer transactions are felt and the wait is not. */
const BUSY_EVENTS = 100;
const BUSY_GATHERING = { mostMs: 100, quietMs: 20 };
const STANDBY_POLL_MS = 1_000;
const PAUSED_POLL_MS = 100;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MOST_MS = 5_000;

/** Starts one loop per stream; trouble with Postgres or NATS is waited out, from the checkpoint on. */
export function startProjector(options: ProjectorOptions): Projector {
  const closing = new AbortController();
  const loops = (options.streams ?? STREAMS).map((stream) => keepProjecting(options, stream, closing.signal));
  return {
    async close() {
      closing.abort();
      await Promise.all(loops);
    },
    waitFor: (stream, sequence, timeoutMs) =>
      waitForSequence(options.database.db, { stream, sequence, timeoutMs }),
  };
}

async function keepProjecting(
  options: ProjectorOptions,
  stream: StreamName,
  closing: AbortSignal,
): Promise<void> {
  const { log } = options;
  let backoffMs = BACKOFF_FIRST_MS;
  const progressed = () => {
    backoffMs = BACKOFF_FIRST_MS;
  };
  while (!closing.aborted) {
    let pauseMs = STANDBY_POLL_MS;
    try {
      await leadStream(options, { stream, closing, progressed });
    } catch (thrown) {
      if (closing.aborted) return;
      const error = toError(thrown);
      if (error instanceof LogCorrupt) {
        log.error({ stream, err: error }, `projecting stopped: ${error.message}`);
        options.onCorrupt?.(error, stream);
        return;
      }
      log.warn({ stream, err: error, retryInMs: backoffMs }, "projecting is interrupted, trying again");
      pauseMs = backoffMs;
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MOST_MS);
    }
    await pause(pauseMs, closing);
  }
}

interface Term {
  stream: StreamName;
  closing: AbortSignal;
  progressed: () => void;
}

/** Leads the stream until closing or trouble; returns at once when another projector has it. */
async function leadStream(options: ProjectorOptions, term: Term): Promise<void> {
  const client = await options.database.pool.connect();
  const lost = new AbortController();
  const onError = (error: Error) => lost.abort(error);
  client.on("error", onError);
  let leads = false;
  try {
    leads = await tryLeadStream(client, term.stream);
    if (!leads) return;
    // A machine that vanishes without closing its connection keeps the lock only until Postgres has asked in vain.
    await client.query("set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2");
    options.log.info({ stream: term.stream }, "projecting");
    while (!term.closing.aborted) await followOnce(options, { ...term, client, lost: lost.signal });
  } finally {
    client.off("error", onError);
    // Ending the session is what gives the stream up.
    client.release(leads || lost.signal.aborted);
  }
}

interface Following extends Term {
  client: pg.PoolClient;
  /** Aborted when the connection that holds our leadership is gone. */
  lost: AbortSignal;
}

/** Reads from the checkpoint on; returns when the place to read from has to be looked up again. */
async function followOnce(options: ProjectorOptions, following: Following): Promise<void> {
  const { client, stream, closing, lost } = following;
  const info = await options.source.info(stream);
  let position = verifyCheckpoint(stream, await readCheckpoint(client, stream), info);
  if (info.firstSequence > position + 1 && position > 0) {
    const missed = info.firstSequence - position - 1;
    options.log.warn({ stream, missed }, "events left the log before they were projected");
  }
  // One signal per attempt: a listener left on the long-lived one would be a leak.
  const stop = new AbortController();
  const onStop = () => stop.abort();
  for (const signal of [closing, lost]) signal.addEventListener("abort", onStop, { once: true });
  try {
    if (closing.aborted || lost.aborted) onStop();
    const maxBatch = options.maxBatch ?? DEFAULT_MAX_BATCH;
    const batches = options.source.follow(stream, {
      fromSequence: position + 1,
      maxBatch,
      signal: stop.signal,
      // What comes right after is gathered: a transaction for a few events costs as much as one for many.
      gathering: (events) => (events < BUSY_EVENTS ? GATHERING : BUSY_GATHERING),
    });
    for await (const events of batches) {
      const batch = { stream, streamCreated: info.created, events, after: position };
      const result = await projectUnlessPaused(options, following, batch);
      if (result.outcome !== "applied" || result.applied === 0) return;
      following.progressed();
      position = result.checkpoint;
      if (result.skipped > 0) {
        options.log.warn(
          { stream, skipped: result.skipped, sequence: position },
          "skipped events of histories whose beginning the log no longer holds",
        );
      }
      if (closing.aborted) return;
    }
    // A rebuild can put the checkpoint where it likes; anything else that ends a follow early is trouble.
    if (!stop.signal.aborted) throw new Error(`following the ${stream} stream ended by itself`);
    if (lost.aborted) throw toError(lost.reason);
  } finally {
    for (const signal of [closing, lost]) signal.removeEventListener("abort", onStop);
    onStop();
  }
}

/** Waits while a rebuild has the read models, then projects; `paused` only when closing came first. */
async function projectUnlessPaused(
  options: ProjectorOptions,
  { client, stream, closing }: Following,
  batch: EventBatch,
): Promise<BatchOutcome> {
  let result = await projectBatch(client, batch);
  if (result.outcome !== "paused") return result;
  options.log.info({ stream }, "paused while the read models are rebuilt");
  while (result.outcome === "paused" && !closing.aborted) {
    await pause(PAUSED_POLL_MS, closing);
    result = await projectBatch(client, batch);
  }
  return result;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
