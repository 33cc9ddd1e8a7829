/** The second pass over a source: rows out of its stream, a few thousand at a time, and which of them are to be sent. */
import type { Readable } from "node:stream";
import type pg from "pg";
import { RunFailure } from "../domain/errors.ts";
import { ArrayField, headerEnd, NULL, type RowSpans, readRow, TEXT_OID } from "./copyBinary.ts";
import type { Selection } from "./diff.ts";
import { GrowingBytes } from "./growingBytes.ts";
import { ReadAhead } from "./readAhead.ts";

/** Rows gathered before a question to Postgres or a write. */
const CHUNK_ROWS = 2_000;
const CHUNK_BYTES = 1 << 20;
/** Bytes looked at in one go: a chunk becomes this much longer at most. */
const PART_BYTES = 1 << 16;

/** A row of the second pass, its key still in bytes. */
export interface ReadRow {
  key: Buffer;
  hash: Buffer;
  /** Null when the record is too long. */
  record: Buffer | null;
}

/** Numbers that tell where a row's fields begin and end. */
const NUMBERS = 6;

/**
 * Rows as the bytes that came, in one buffer that the next chunk is read into. Nothing is made of a row before it is
 * asked for: objects that outlive a wait for Postgres are what makes a heap grow.
 */
export class RowChunk {
  readonly #bytes = new GrowingBytes();
  readonly #keys = new ArrayField(TEXT_OID);
  readonly #row: RowSpans = { fields: 0, starts: [], ends: [] };
  #places = new Int32Array(CHUNK_ROWS * NUMBERS);
  #length = 0;
  /** Up to here the bytes are rows that were found. */
  #at = 0;
  #isBegun = false;
  #isEnded = false;

  /** True once the trailer came: the stream was not cut off. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isFull(): boolean {
    return this.#length >= CHUNK_ROWS || this.#at >= CHUNK_BYTES;
  }

  /** Number of rows. */
  get length(): number {
    return this.#length;
  }

  /** Takes bytes of the stream; rows without a key were set aside by the diff. */
  push(part: Buffer): void {
    this.#bytes.append(part);
    const bytes = this.#bytes.view();
    if (!this.#isBegun) {
      const end = headerEnd(bytes);
      if (end === null) return;
      this.#isBegun = true;
      this.#at = end;
    }
    while (!this.#isEnded) {
      const end = readRow(bytes, this.#at, this.#row);
      if (end < 0) return;
      this.#at = end;
      if (this.#row.fields < 0) this.#isEnded = true;
      else this.#keep(this.#row);
    }
  }

  #keep({ starts, ends }: RowSpans): void {
    if (starts[0] === NULL || starts[1] === NULL) return;
    const at = this.#length * NUMBERS;
    if (at === this.#places.length) {
      const places = new Int32Array(2 * at);
      places.set(this.#places);
      this.#places = places;
    }
    for (let field = 0; field < NUMBERS / 2; field += 1) {
      this.#places[at + 2 * field] = starts[field] ?? NULL;
      this.#places[at + 2 * field + 1] = ends[field] ?? NULL;
    }
    this.#length += 1;
  }

  /** A row by its place. What it holds stands until the next chunk: copy what is kept longer. */
  row(place: number): ReadRow {
    const record = this.#field(place, 2);
    return { key: this.#field(place, 0) as Buffer, hash: this.#field(place, 1) as Buffer, record };
  }

  /** The keys as a text[] for Postgres, which stands until it is asked for again. */
  keys(): Buffer {
    this.#keys.clear();
    const bytes = this.#bytes.view();
    for (let place = 0; place < this.#length; place += 1) {
      const at = place * NUMBERS;
      this.#keys.addPart(bytes, this.#places[at] ?? 0, this.#places[at + 1] ?? 0);
    }
    return this.#keys.view();
  }

  /** Makes room for the next rows; an unfinished one stays. */
  clear(): void {
    this.#bytes.dropFirst(this.#at);
    this.#at = 0;
    this.#length = 0;
  }

  #field(place: number, field: number): Buffer | null {
    const at = place * NUMBERS + 2 * field;
    const start = this.#places[at] ?? NULL;
    return start === NULL ? null : this.#bytes.view(start, this.#places[at + 1]);
  }
}

/**
 * Gives the rows of a stream in chunks, each of which is gone when the next is asked for. Without `isEager` a chunk is full,
 * for who asks Postgres about each; with it a chunk is what has come, so that the reader works while the source does.
 * @throws RunFailure when the stream ends before its time.
 */
export async function* rowChunks(
  stream: Readable,
  { signal, isEager }: { signal: AbortSignal | undefined; isEager: boolean },
): AsyncGenerator<RowChunk> {
  const ahead = new ReadAhead(stream);
  const chunk = new RowChunk();
  try {
    while (await ahead.isReady()) {
      signal?.throwIfAborted();
      chunk.push(ahead.take(PART_BYTES));
      const isTaken = isEager && chunk.length > 0 && !ahead.hasMore;
      if (!chunk.isFull && !isTaken) continue;
      yield chunk;
      chunk.clear();
    }
  } finally {
    ahead.close();
  }
  if (!chunk.isEnded)
    throw new RunFailure("SOURCE_CONNECTION_FAILED", "The source stopped in the middle of its rows");
  yield chunk;
}

/** Tells of a row's place whether it is sent. */
type IsSent = (place: number) => boolean;
type Filter = (chunk: RowChunk) => IsSent | Promise<IsSent>;

const LISTED = "1".charCodeAt(0);

/** What decides row by row; null when every row with a key is sent. */
export function filterFor(client: pg.PoolClient, selection: Selection): Filter | null {
  const isListedSent = selection.mode === "only";
  if (!isListedSent && selection.count === 0) return null;
  if (selection.keys !== null) {
    const listed = new Set(selection.keys);
    return (chunk) => (place) => listed.has(chunk.row(place).key.toString("utf8")) === isListedSent;
  }
  let isPrepared = false;
  return async (chunk) => {
    // A few thousand keys against any number of listed ones: the planner would rather read the whole list each time.
    if (!isPrepared) await client.query("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off");
    isPrepared = true;
    // One long text of 0 and 1 comes back, and the keys go as they came: a row costs neither an object nor a text.
    const { rows } = await client.query<[string | null]>({
      text: `SELECT string_agg(CASE WHEN l.key IS NULL THEN '0' ELSE '1' END, '' ORDER BY place)
        FROM unnest($1::text[]) WITH ORDINALITY AS u (key, place) LEFT JOIN egret_listed l ON l.key = u.key`,
      values: [chunk.keys()],
      rowMode: "array",
    });
    const listed = rows[0]?.[0] ?? "";
    return (place) => (listed.charCodeAt(place) === LISTED) === isListedSent;
  };
}
