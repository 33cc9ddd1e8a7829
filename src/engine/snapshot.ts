/** Copies key and hash of every source row into a scratch table of ours: bytes pass through, rows are never looked at. */
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import copyStreams from "pg-copy-streams";
import { RunFailure, toError } from "../domain/errors.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { CompiledSync, SourceSnapshot } from "../sources/source.ts";
import { stageTable } from "./scratch.ts";
import { inTransaction } from "./transaction.ts";

/** What a snapshot is taken from, and for which run. */
export interface SnapshotRequest {
  database: OpenDatabase;
  snapshot: SourceSnapshot;
  compiled: CompiledSync;
  runId: number;
  /** Told the bytes read so far, often: do little. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
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

/**
 * Fills the run's scratch table anew and returns how many rows the source has.
 * @throws RunFailure when the source fails; Unavailable when our Postgres does.
 */
export async function takeSnapshot(request: SnapshotRequest): Promise<{ sourceRecordCount: number }> {
  const { database, snapshot, compiled, runId } = request;
  const stage = stageTable(runId);
  return inTransaction(database.pool, async (client) => {
    await client.query("SET LOCAL lock_timeout = '30s'");
    await client.query(`DROP TABLE IF EXISTS ${stage}`);
    await client.query(`CREATE UNLOGGED TABLE ${stage} (key text COLLATE "C", hash bigint NOT NULL)`);
    const source = await snapshot.copyOut(compiled.keysSql);
    // FREEZE: the table is new, so rows are written once and never visited again to mark them as committed.
    const target = client.query(
      copyStreams.from(`COPY ${stage} (key, hash) FROM STDIN (FORMAT binary, FREEZE)`),
    );
    const { onProgress, signal } = request;
    try {
      await (onProgress === undefined
        ? pipeline(source, target, { signal })
        : pipeline(source, counting(onProgress), target, { signal }));
    } catch (thrown) {
      throw refusedBytes(thrown) ?? thrown;
    }
    return { sourceRecordCount: target.rowCount };
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
