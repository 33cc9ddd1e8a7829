/** Fills scratch tables of ours from a source: bytes pass through, rows are never looked at. */
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import { RunFailure, toError } from "../domain/errors.ts";
import type { SourceSnapshot } from "../sources/source.ts";

/** What is read, and where it goes. */
export interface Filling {
  snapshot: SourceSnapshot;
  sql: string;
  /** Table with its columns. */
  into: string;
  /** Whether the table was made in this transaction and is empty. */
  isNew: boolean;
  /** Told the bytes read so far, often: do little. */
  onProgress?: ((bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Copies what a query of the source gives into a table of ours; returns the rows.
 * @throws RunFailure when the source fails.
 */
export async function fillFrom(client: pg.PoolClient, filling: Filling): Promise<number> {
  const { snapshot, sql, into, isNew, onProgress, signal } = filling;
  const source = await snapshot.copyOut(sql);
  // FREEZE: the table is new, so rows are written once and never visited again to mark them as committed.
  const target = client.query(
    copyStreams.from(`COPY ${into} FROM STDIN (FORMAT binary${isNew ? ", FREEZE" : ""})`),
  );
  const options = signal === undefined ? {} : { signal };
  try {
    await (onProgress === undefined
      ? pipeline(source, target, options)
      : pipeline(source, counting(onProgress), target, options));
  } catch (thrown) {
    throw refusedBytes(thrown) ?? thrown;
  }
  return target.rowCount;
}

function counting(onProgress: (bytes: number) => void): Transform {
  let bytes = 0;
  return new Transform({
    highWaterMark: 1 << 18,
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      onProgress(bytes);
      done(null, chunk);
    },
  });
}

/** Our Postgres takes UTF-8 only; a source that checks no encoding (SQL_ASCII) can send other bytes. */
function refusedBytes(thrown: unknown): RunFailure | null {
  const code = (toError(thrown) as { code?: string }).code ?? "";
  if (!code.startsWith("22")) return null;
  return new RunFailure(
    "SOURCE_QUERY_FAILED",
    `The source sent a sync key that is no valid UTF-8 text (SQLSTATE ${code})`,
    "Convert the key column in the model",
  );
}
