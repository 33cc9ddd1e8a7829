/** Takes the rows out of settled batches of old runs; what the batches were and what became of them stays. */
import type pg from "pg";

/** Of which runs, and how. */
export interface OldRows {
  /** Runs below this id lose their rows. */
  beforeRun: number;
  /** Runs that still have their sync keep them. */
  activeRuns: readonly number[];
  isDryRun: boolean;
  signal?: AbortSignal | undefined;
}

/** Of one statement: it deletes as many bytes, in pieces of two kilobytes, and holds its locks for as long. */
const CHUNK_BATCHES = 5_000;
const CHUNK_BYTES = 32 << 20;
/** Runs looked up at once. */
const PAGE_RUNS = 500;

const HAS_ROWS = "outcome is not null and (keys is not null or body is not null)";

/**
 * Returns how many rows went, or would go.
 * @throws the signal's reason between two chunks.
 */
export async function dropSentRows(pool: pg.Pool, old: OldRows): Promise<number> {
  const { beforeRun, activeRuns, isDryRun, signal } = old;
  let rows = 0;
  for (let after = 0; ; ) {
    const { rows: runs } = await pool.query<{ id: number }>(
      `select run_id as id from egret.plans
       where run_id > $1 and run_id < $2 and run_id <> all($3::bigint[]) and records_dropped_at is null
       order by run_id limit ${PAGE_RUNS}`,
      [after, beforeRun, activeRuns],
    );
    for (const { id } of runs) {
      signal?.throwIfAborted();
      rows += isDryRun ? await countRows(pool, id) : await dropOfRun(pool, id, signal);
    }
    if (runs.length < PAGE_RUNS) return rows;
    after = runs.at(-1)?.id ?? 0;
  }
}

async function countRows(pool: pg.Pool, runId: number): Promise<number> {
  const { rows } = await pool.query<{ rows: number }>(
    `select coalesce(sum(records), 0)::bigint as rows from egret.batches where run_id = $1 and ${HAS_ROWS}`,
    [runId],
  );
  return rows[0]?.rows ?? 0;
}

async function dropOfRun(pool: pg.Pool, runId: number, signal: AbortSignal | undefined): Promise<number> {
  let rows = 0;
  for (let after = 0; ; ) {
    signal?.throwIfAborted();
    const { rows: gone } = await pool.query<{ last: number | null; rows: number }>(
      // The first batch of a chunk goes however long it is. A body's length is known without reading it.
      `with chunk as (
         select batch_no from (
           select batch_no, sum(octet_length(body)) over (order by batch_no) - octet_length(body) as bytes_before
           from (select batch_no, body from egret.batches
                 where run_id = $1 and batch_no > $2 and ${HAS_ROWS} order by batch_no limit ${CHUNK_BATCHES}) as found
         ) as measured where coalesce(bytes_before, 0) < ${CHUNK_BYTES}),
       emptied as (
         update egret.batches as batch
         set body = null, keys = null, hashes = null, row_records = null, row_errors = null, request = null,
             source_records = null
         from chunk where batch.run_id = $1 and batch.batch_no = chunk.batch_no
         returning batch.batch_no, batch.records)
       select max(batch_no) as last, coalesce(sum(records), 0)::bigint as rows from emptied`,
      [runId, after],
    );
    const { last, rows: ofChunk } = gone[0] ?? { last: null, rows: 0 };
    rows += ofChunk;
    if (last !== null) {
      after = last;
      continue;
    }
    await pool.query("update egret.plans set records_dropped_at = now() where run_id = $1", [runId]);
    return rows;
  }
}
