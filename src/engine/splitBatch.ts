/** Cuts a rejected batch in two: each half is a batch of its own, made in the transaction that settles its parent. */
import { createHash } from "node:crypto";
import type pg from "pg";
import type { CutBody, HalfBatch, WholeBatch } from "./cutBody.ts";

/** A batch that was rejected, and how it is cut. */
export interface RejectedBatch {
  runId: number;
  batchNo: number;
  statusMessage: string | null;
  cutBody: CutBody;
}

/**
 * Gives the open batch two halves and the outcome `split`; false when it has but one record, its body cannot be cut,
 * or its run has ended, since nobody would send the halves. The caller holds the lock on the batch.
 */
export async function splitBatch(client: pg.PoolClient, batch: RejectedBatch): Promise<boolean> {
  const { runId, batchNo, statusMessage, cutBody } = batch;
  // Held until the halves are there: a run that ends meanwhile finds them and gives them up with the rest.
  const { rowCount: isActive } = await client.query(
    `SELECT FROM egret.sync_states AS state JOIN egret.batches AS b USING (sync_id)
     WHERE b.run_id = $1 AND b.batch_no = $2 AND state.active_run_id = $1 FOR SHARE OF state`,
    [runId, batchNo],
  );
  if (isActive === 0) return false;
  const { rows } = await client.query<WholeBatch & { name: string | null }>(
    `SELECT name, operation, body, records, source_records AS "sourceRecords" FROM egret.batches
     WHERE run_id = $1 AND batch_no = $2 AND records > 1 AND body IS NOT NULL`,
    [runId, batchNo],
  );
  const [whole] = rows;
  if (whole === undefined) return false;
  // Source: ours; behaviour.md 12.3.
  const first = Math.ceil(whole.records / 2);
  const halves = cutBody(whole, first);
  if (halves === null) return false;
  // Whoever splits batches of one run takes turns until the commit, so that numbers become visible in their order:
  // the run's worker reads on from the last one that it saw.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('egret split ' || $1::text, 0))", [
    runId,
  ]);
  const name = whole.name ?? String(batchNo);
  await insertHalf(client, batch, { ...halves[0], name: `${name}_1`, from: 1, to: first });
  await insertHalf(client, batch, { ...halves[1], name: `${name}_2`, from: first + 1, to: whole.records });
  await client.query(
    `UPDATE egret.batches
     SET outcome = 'split', status_message = $3, settled_at = now(), body = NULL, keys = NULL, hashes = NULL,
         row_records = NULL, source_records = NULL, request = NULL
     WHERE run_id = $1 AND batch_no = $2`,
    [runId, batchNo, statusMessage],
  );
  return true;
}

/** `from` and `to` count the parent's rows from 1. */
async function insertHalf(
  client: pg.PoolClient,
  { runId, batchNo }: Pick<RejectedBatch, "runId" | "batchNo">,
  { name, from, to, body, sourceRecords }: HalfBatch & { name: string; from: number; to: number },
): Promise<void> {
  await client.query(
    `INSERT INTO egret.batches (run_id, batch_no, name, sync_id, destination_id, operation, request,
       records, body, body_sha256, source_records, keys, hashes, row_records)
     SELECT run_id, (SELECT max(batch_no) + 1 FROM egret.batches WHERE run_id = $1), $3, sync_id, destination_id,
            operation, request, $5::int - $4::int + 1, $6, $7, $8, keys[$4:$5], hashes[$4:$5], row_records[$4:$5]
     FROM egret.batches WHERE run_id = $1 AND batch_no = $2`,
    [runId, batchNo, name, from, to, body, createHash("sha256").update(body).digest("hex"), sourceRecords],
  );
}
