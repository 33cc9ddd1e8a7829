/** How far each stream has been projected: read, verified against the stream, advanced, and waited for. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import pg from "pg";
import { LogCorrupt } from "../domain/errors.ts";
import { NO_REBUILD } from "./advisoryLocks.ts";
import type { Database } from "./database.ts";
import type { StreamInfo, StreamName } from "./eventSource.ts";

/** Where read models live unless a rebuild is writing fresh ones. */
export const LIVE_SCHEMA = "egret_read";

const POLL_MS = 15;

/** A stream's place in one set of read models. */
export interface Checkpoint {
  lastSequence: number;
  streamCreated: Date;
}

interface CheckpointRow {
  last_sequence: number;
  stream_created: Date;
  free: boolean;
}

const table = (schema: string) => `${pg.escapeIdentifier(schema)}.checkpoints`;

/** The checkpoint of a stream, or null before its first event was projected. */
export async function readCheckpoint(
  client: Pick<pg.ClientBase, "query">,
  stream: StreamName,
  schema = LIVE_SCHEMA,
): Promise<Checkpoint | null> {
  const { rows } = await client.query<CheckpointRow>(
    `select last_sequence, stream_created from ${table(schema)} where stream = $1`,
    [stream],
  );
  const row = rows[0];
  return row === undefined ? null : { lastSequence: row.last_sequence, streamCreated: row.stream_created };
}

/**
 * Locks the checkpoint until the transaction ends, so that one writer at a time moves a stream's read models;
 * null while a rebuild has them.
 */
export async function lockCheckpoint(
  client: pg.ClientBase,
  place: { stream: StreamName; streamCreated: Date; schema: string },
): Promise<Checkpoint | null> {
  const lock = () =>
    client.query<CheckpointRow>(
      `select last_sequence, stream_created, ${NO_REBUILD} as free
       from ${table(place.schema)} where stream = $1 for update`,
      [place.stream],
    );
  let row = (await lock()).rows[0];
  if (row === undefined) {
    await client.query(`insert into ${table(place.schema)} values ($1, 0, $2) on conflict do nothing`, [
      place.stream,
      place.streamCreated.toISOString(),
    ]);
    row = (await lock()).rows[0];
  }
  if (row === undefined || !row.free) return null;
  return { lastSequence: row.last_sequence, streamCreated: row.stream_created };
}

/** Moves a locked checkpoint by compare-and-set. */
export async function advanceCheckpoint(
  client: pg.ClientBase,
  move: { stream: StreamName; schema: string; from: number; to: number },
): Promise<void> {
  const { rowCount } = await client.query(
    `update ${table(move.schema)} set last_sequence = $3 where stream = $1 and last_sequence = $2`,
    [move.stream, move.from, move.to],
  );
  if (rowCount !== 1)
    throw new Error(`checkpoint of ${move.stream} moved away from ${move.from} under its lock`);
}

/**
 * Refuses a checkpoint that was taken on another stream of the same name.
 * @throws LogCorrupt saying what happened and what to do.
 */
export function assertSameStream(stream: StreamName, checkpoint: Checkpoint, streamCreated: Date): void {
  if (checkpoint.streamCreated.getTime() === streamCreated.getTime()) return;
  throw new LogCorrupt(
    `the ${stream} stream was created ${streamCreated.toISOString()}, but the read models were made from one ` +
      `created ${checkpoint.streamCreated.toISOString()}: the log was replaced. If the present log is the right ` +
      "one, run `egret projections rebuild`; else point Egret at the old one.",
  );
}

/**
 * Where to go on reading, 0 for the beginning; checks that the checkpoint can be true of this stream.
 * @throws LogCorrupt when the stream is another one, or ends before the checkpoint.
 */
export function verifyCheckpoint(
  stream: StreamName,
  checkpoint: Checkpoint | null,
  info: StreamInfo,
): number {
  if (checkpoint === null) return 0;
  assertSameStream(stream, checkpoint, info.created);
  if (checkpoint.lastSequence > info.lastSequence) {
    throw new LogCorrupt(
      `the ${stream} stream ends at sequence ${info.lastSequence}, but the read models know events up to ` +
        `${checkpoint.lastSequence}: the log lost its end. Restore the log, or run ` +
        "`egret projections rebuild` to accept what it still holds.",
    );
  }
  return checkpoint.lastSequence;
}

/** Waits until a stream is projected up to a sequence; false when timeoutMs passed first. Works in any process. */
export async function waitForSequence(
  db: Kysely<Database>,
  awaited: { stream: StreamName; sequence: number; timeoutMs: number },
): Promise<boolean> {
  const deadline = performance.now() + awaited.timeoutMs;
  for (;;) {
    const row = await db
      .selectFrom("egret_read.checkpoints")
      .select("last_sequence")
      .where("stream", "=", awaited.stream)
      .executeTakeFirst();
    if (row !== undefined && row.last_sequence >= awaited.sequence) return true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    await delay(Math.min(POLL_MS, leftMs));
  }
}
