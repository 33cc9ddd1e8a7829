/** What the engine asks of a source: its columns, a compiled sync, and one snapshot that is read as COPY bytes. */
import type { Readable } from "node:stream";
import type { Source, Sync, SyncObject } from "../domain/configuration.ts";

/** One column of a model or table; `type` is the source's own name of it, such as `character varying(256)`. */
export interface SourceColumn {
  name: string;
  type: string;
}

/** A record longer than this cannot be sent: its row comes without a record and is set aside. Source: ours; behaviour.md 5.7. */
export const MAX_RECORD_BYTES = 1_048_576;

/** A sync turned into the queries of one source. */
export interface CompiledSync {
  /** SHA-256, hex, of everything that decides how a row looks at the destination: another value means a full sync. */
  fingerprint: string;
  /** Query of (key text, hash bigint), one row per row of the model, in any order. */
  keysSql: string;
  /** Query of (key text, hash bigint, record text or NULL when too long), for some keys or for all rows. */
  recordsSql(keys: readonly string[] | null): string;
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
