/** The second pass over a source: rows out of its stream, a few thousand at a time, and which of them are to be sent. */
import type { Readable } from "node:stream";
import type pg from "pg";
import { RunFailure } from "../domain/errors.ts";
import { CopyBinaryReader } from "./copyBinary.ts";
import type { Selection } from "./diff.ts";

/** Rows gathered before a question to Postgres or a write. */
const CHUNK_ROWS = 2_000;
const CHUNK_BYTES = 1 << 20;

/** A row of the second pass its key still in bytes. */
export interface ReadRow {
  key: Buffer;
  hash: Buffer;
  /** Null when the record is too long. */
  record: Buffer | null;
}

/**
 * Gives the rows of a stream in chunks; rows without a key were set aside by the diff.
 * @throws RunFailure when the stream ends before its time.
 */
export async function* rowChunks(
  stream: Readable,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReadRow[]> {
  const reader = new CopyBinaryReader();
  let rows: ReadRow[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    reader.push(chunk, ([key, hash, record]) => {
      if (key && hash) rows.push({ key, hash, record: record ?? null });
    });
    bytes += chunk.length;
    if (rows.length < CHUNK_ROWS && bytes < CHUNK_BYTES) continue;
    yield rows;
    rows = [];
    bytes = 0;
  }
  if (!reader.ended)
    throw new RunFailure("SOURCE_CONNECTION_FAILED", "The source stopped in the middle of its rows");
  yield rows;
}

type Filter = (rows: ReadRow[]) => ReadRow[] | Promise<ReadRow[]>;

/** What decides row by row; null when every row with a key is sent. */
export function filterFor(client: pg.PoolClient, selection: Selection): Filter | null {
  const isListedSent = selection.mode === "only";
  if (!isListedSent && selection.count === 0) return null;
  if (selection.keys !== null) {
    const listed = new Set(selection.keys);
    return (rows) => rows.filter((row) => listed.has(row.key.toString("utf8")) === isListedSent);
  }
  let isPrepared = false;
  return async (rows) => {
    // A few thousand keys against any number of listed ones: the planner would rather read the whole list each time.
    if (!isPrepared) await client.query("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off");
    isPrepared = true;
    const keys = rows.map((row) => row.key.toString("utf8"));
    const { rows: found } = await client.query<[number]>({
      text: `SELECT (place - 1)::int FROM unnest($1::text[]) WITH ORDINALITY AS u (key, place) JOIN egret_listed USING (key)`,
      values: [keys],
      rowMode: "array",
    });
    const listed = new Set(found.map(([place]) => place));
    return rows.filter((_row, place) => listed.has(place) === isListedSent);
  };
}
