/** Makes the read models again from the first event of the log, beside the live ones, and swaps them in at once. */
import type pg from "pg";
import { AppError, toError, Unavailable } from "../domain/errors.ts";
import { lockRebuild, unlockRebuild } from "./advisoryLocks.ts";
import type { OpenDatabase } from "./database.ts";
import { type EventSource, STREAMS, type StreamInfo, type StreamName } from "./eventSource.ts";
import { projectBatch } from "./projectEvents.ts";
import {
  createFreshReadModels,
  dropFreshReadModels,
  REBUILD_SCHEMA,
  swapReadModels,
} from "./readModelSchema.ts";

/** How far a rebuild is: events projected of those that the log held when it looked last. */
export interface RebuildProgress {
  stream: StreamName;
  events: number;
  totalEvents: number;
}

/** What a rebuild needs. */
export interface RebuildOptions {
  source: EventSource;
  database: OpenDatabase;
  onProgress?: (progress: RebuildProgress) => void;
  /** Ends the rebuild early; the live read models stay as they are. */
  signal?: AbortSignal;
}

/** More than a projector takes: the more of a delivery's life falls into one batch, the fewer rows are written twice. */
const MAX_BATCH = 5_000;
const LOCK_WAIT_MS = 30_000;
const SILENCE_MS = 30_000;

/**
 * Replays both streams into fresh tables and swaps them in. Projectors pause meanwhile and go on from the new
 * checkpoint. Interrupted at any moment, it leaves the live tables untouched and can be run again.
 * @throws Unavailable when another rebuild is going on, the log falls silent, or Postgres refuses.
 */
export async function rebuildReadModels(
  options: RebuildOptions,
): Promise<{ events: number; seconds: number }> {
  const began = performance.now();
  const client = await options.database.pool.connect();
  // A connection that dies between two statements makes the next one fail, which is where it is dealt with.
  const onError = () => undefined;
  client.on("error", onError);
  let healthy = false;
  try {
    await takeReadModels(client);
    const events = await rebuildUnderLock(options, client);
    await unlockRebuild(client);
    healthy = true;
    return { events, seconds: (performance.now() - began) / 1000 };
  } catch (thrown) {
    if (thrown instanceof AppError || options.signal?.aborted) throw thrown;
    throw new Unavailable(
      `rebuilding the read models failed, the old ones stand: ${reasonOf(toError(thrown))}`,
      {
        cause: thrown,
      },
    );
  } finally {
    client.off("error", onError);
    // Ending the session frees the lock whatever happened.
    client.release(!healthy);
  }
}

/** Postgres names what depends on a table in the error's detail alone. */
function reasonOf(error: Error): string {
  return "detail" in error && error.detail !== undefined
    ? `${error.message} (${String(error.detail)})`
    : error.message;
}

async function takeReadModels(client: pg.ClientBase): Promise<void> {
  try {
    await lockRebuild(client, LOCK_WAIT_MS);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "55P03")) throw cause;
    throw new Unavailable("another rebuild is going on: wait until it has ended", { cause });
  }
}

async function rebuildUnderLock(options: RebuildOptions, client: pg.ClientBase): Promise<number> {
  await createFreshReadModels(client);
  let events = 0;
  try {
    const places: Partial<Record<StreamName, StreamInfo>> = {};
    // The first pass takes as long as history is; the second only what came meanwhile, so that readers see no step back.
    for (let pass = 1; pass <= 2; pass += 1) {
      for (const stream of STREAMS) {
        const info = await options.source.info(stream);
        const after = places[stream]?.lastSequence ?? 0;
        events += await replay(options, client, { stream, info, after });
        places[stream] = info;
      }
    }
    await swapReadModels(client);
  } catch (error) {
    await dropFreshReadModels(client).catch(() => undefined);
    throw error;
  }
  return events;
}

/** Projects what a stream held at `info` beyond `after`; returns how many events that were. */
async function replay(
  options: RebuildOptions,
  client: pg.ClientBase,
  part: { stream: StreamName; info: StreamInfo; after: number },
): Promise<number> {
  const { stream, info } = part;
  const target = { stream, streamCreated: info.created, schema: REBUILD_SCHEMA };
  const first = Math.max(info.firstSequence, part.after + 1);
  let events = 0;
  let reached = first - 1;
  const stop = new AbortController();
  const onAbort = () => stop.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const silence = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    options.signal?.throwIfAborted();
    // Even a stream without events gets its checkpoint, which says which stream it was.
    await projectBatch(client, { ...target, events: [] });
    if (reached >= info.lastSequence) return 0;
    const follow = { fromSequence: first, maxBatch: MAX_BATCH, signal: stop.signal };
    for await (const batch of options.source.follow(stream, follow)) {
      silence.refresh();
      const result = await projectBatch(client, { ...target, events: batch });
      if (result.outcome === "applied") events += result.applied;
      reached = batch.at(-1)?.sequence ?? reached;
      options.onProgress?.({ stream, events, totalEvents: Math.max(events, info.lastSequence - first + 1) });
      options.signal?.throwIfAborted();
      if (reached >= info.lastSequence) return events;
    }
    options.signal?.throwIfAborted();
    throw new Unavailable(
      `the ${stream} stream fell silent at sequence ${reached} of ${info.lastSequence}: run the rebuild again`,
    );
  } finally {
    clearTimeout(silence);
    options.signal?.removeEventListener("abort", onAbort);
    stop.abort();
  }
}
