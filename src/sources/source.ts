/** What the engine asks of a source: its columns, a compiled sync, and one snapshot that is read as COPY bytes. */
import type { Readable } from "node:stream";
import type { Source, Sync, SyncObject } from "../domain/configuration.ts";
import type { Fingerprint } from "./fingerprint.ts";

/** One column of a model or table; `type` is the source's own name of it, such as `character varying(256)`. */
export interface SourceColumn {
  name: string;
  type: string;
}

/** A record longer than this cannot be sent: its row comes without a record and is set aside. Source: ours; behaviour.md 5.7. */
export const MAX_RECORD_BYTES = 1_048_576;

/** What is said of a row whose record is longer. */
export const TOO_LONG = `The record is longer than ${MAX_RECORD_BYTES} bytes`;

/** A raw row may be longer than the record that is made of it: a template can cut a long column short. */
export const MAX_RAW_BYTES = 4 * MAX_RECORD_BYTES;

/** Facts of a run that mappings can send. */
export interface RunFacts {
  runId: number;
  startedAt: Date;
}

/** A record, or why its row cannot be sent: at most 500 characters, and none of a value of the row. */
export type BuiltRecord = { record: Buffer } | { invalid: string };

/** A sync turned into the queries of one source. */
export interface CompiledSync {
  /** Everything that decides how a row looks at the destination: what differs in it can mean a full sync. */
  fingerprint: Fingerprint;
  /** Query of (key text, hash bigint), one row per row of the model, in any order. */
  keysSql: string;
  /**
   * Query of (key text, hash bigint, record text or NULL when too long), for some keys or for all rows. With
   * `buildRecord` the third is a raw row for it.
   */
  recordsSql(keys: readonly string[] | null, run: RunFacts): string;
  /** The same for the rows whose hash a table of (key, hash) in the source does not have, keys being compared as bytes. */
  changedSql(table: string, run: RunFacts): string;
  /** Makes the record of a raw row. Absent where the source makes it, which is faster: bytes that are never read. */
  buildRecord?: (raw: Buffer) => BuiltRecord;
  /**
   * Query of (key text, hash bigint by other columns, hash bigint as in keysSql), one row per row of the model; null
   * when one of those columns is gone.
   */
  rehashSql(columns: readonly string[]): string | null;
  /** SQL for our Postgres, from SQL of a key's text: the key as it stands in a record, as JSON text. */
  keyJsonSql(key: string): string;
  /** Null unless new rows are found by timestamps. */
  windows: SourceWindows | null;
}

/** Rows with a timestamp from `from` (null: from the first) to before `to`, both as the source writes them. */
export interface Window {
  from: string | null;
  to: string;
  /** Keys of rows before the window that are to be looked at again. */
  retry: readonly string[];
}

/** The queries of a sync that finds new rows by timestamps (behaviour.md 9.4). */
export interface SourceWindows {
  /** Query of one row (rows text, mark text): every row of the model, and the mark to come. It never goes back. */
  boundsSql(mark: string | null): string;
  /** Query of (key text, hash bigint, place smallint): 0 is in the window, 1 waits behind it, 2 is looked at again. */
  keysSql(window: Window): string;
  /** Query of (key text, hash bigint, record text or NULL) of the rows whose place is 0 or 2; raw as in CompiledSync. */
  recordsSql(window: Window, run: RunFacts): string;
}

/** One unchanging view of a source, on one connection. */
export interface SourceSnapshot {
  /**
   * Streams the rows of one query in Postgres' binary COPY format. One stream at a time; it fails with RunFailure.
   * @throws RunFailure when the query is refused.
   */
  copyOut(sql: string): Promise<Readable>;
  /** Ends the connection, in the middle of a stream too. Never throws. */
  close(): Promise<void>;
}

/** How long a source may take. */
export interface SourceLimits {
  statementTimeoutMs?: number;
  connectTimeoutMs?: number;
  /** For sorting and hashing, of a snapshot that compares in the source. */
  workMemMb?: number;
}

/** A kind of source. */
export interface SourceReader {
  /**
   * Columns of a model or table, from the source itself; nothing is read or changed.
   * @throws InvalidInput when the model is not exactly one SELECT.
   * @throws RunFailure when the source does not answer or refuses the query.
   */
  describeObject(source: Source, object: SyncObject, limits?: SourceLimits): Promise<SourceColumn[]>;
  /** @throws RunFailure when a mapped column is gone or the mapping cannot be performed. */
  compile(sync: Sync, columns: readonly SourceColumn[]): CompiledSync;
  /** @throws RunFailure when the source does not answer. */
  openSnapshot(source: Source, limits?: SourceLimits): Promise<SourceSnapshot>;
}
