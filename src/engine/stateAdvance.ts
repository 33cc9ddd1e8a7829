/** What the outcomes of batches make of a sync's state; each function runs in the transaction that settles them. */
import type pg from "pg";
import type { BatchOperation } from "../projections/database.ts";
import { stateTable } from "./scratch.ts";
import { retryLater } from "./windows.ts";

/** A batch that is being settled, its rows still in it. */
export interface BatchInHand {
  sync_id: number;
  run_id: number;
  batch_no: number;
  operation: BatchOperation;
  /** Whether acceptance takes its keys out of the state. */
  forgets: boolean;
  hasRecords: boolean;
  /** Whether the answer said of some rows that they were not taken. */
  hasErrors: boolean;
}

/** What a batch in hand selects from egret.batches, as b. */
export const BATCH_IN_HAND = `b.sync_id, b.run_id, b.batch_no, b.operation, b.hashes IS NULL AS forgets,
  b.row_records IS NOT NULL AS "hasRecords", b.row_errors IS NOT NULL AS "hasErrors"`;

/** The rows of the batches named by $1 and $2, as k. */
const ROWS = `egret.batches b CROSS JOIN LATERAL unnest(b.keys, b.hashes, b.row_records, b.row_errors) AS k (key, hash, record, error)
  WHERE (b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))`;
/** Of those, the rows of which the answer did not say that they were not taken, and the others. */
const TAKEN = `${ROWS} AND k.error IS NULL`;
const REFUSED = `${ROWS} AND k.error IS NOT NULL`;

const named = (batches: readonly BatchInHand[]) => [
  batches.map((each) => each.run_id),
  batches.map((each) => each.batch_no),
];

function bySync(batches: readonly BatchInHand[]): Map<number, BatchInHand[]> {
  return Map.groupBy(batches, (each) => each.sync_id);
}

/** A hash that no row has: whatever the row is, it differs. */
const IN_DOUBT = 0;

/** The destination took the rows: what they are now is what it holds, and what was deleted is gone. */
export async function acceptRows(client: pg.PoolClient, accepted: readonly BatchInHand[]): Promise<void> {
  for (const [syncId, ofSync] of bySync(accepted)) {
    const state = stateTable(syncId);
    const sent = ofSync.filter((each) => !each.forgets);
    const deleted = ofSync.filter((each) => each.forgets);
    if (sent.length > 0) {
      const record = sent.some((each) => each.hasRecords)
        ? { column: ", record", value: ", k.record", renewed: ", record = excluded.record" }
        : { column: "", value: "", renewed: "" };
      // A model that gives other rows at each reading can repeat a key: either of its hashes is true.
      await client.query(
        `INSERT INTO ${state} AS state (key, hash${record.column})
         SELECT DISTINCT ON (k.key COLLATE "C") k.key, k.hash${record.value} FROM ${TAKEN} ORDER BY k.key COLLATE "C"
         ON CONFLICT (key) DO UPDATE SET hash = excluded.hash${record.renewed}`,
        named(sent),
      );
    }
    if (deleted.length > 0) {
      await client.query(
        `DELETE FROM ${state} AS state USING ${TAKEN} AND state.key = k.key`,
        named(deleted),
      );
    }
  }
  for (const [syncId, ofSync] of bySync(await byTimestamps(client, accepted))) {
    await client.query(`DELETE FROM egret.retry_keys r USING ${TAKEN} AND r.key = k.key AND r.sync_id = $3`, [
      ...named(ofSync),
      syncId,
    ]);
  }
}

/**
 * The destination refused the rows. Where a mark passes them they are noted; where a full sync sent rows that are as
 * they were accepted, only this lets the next run find them.
 */
export async function rejectRows(
  client: pg.PoolClient,
  rejected: readonly BatchInHand[],
  { only }: { only?: "refused" } = {},
): Promise<void> {
  const refused = only === "refused" ? REFUSED : ROWS;
  const renewed = rejected.filter((each) => each.operation === "upsert" || each.operation === "update");
  for (const [syncId, ofSync] of bySync(renewed)) {
    await client.query(
      `UPDATE ${stateTable(syncId)} AS state SET hash = ${IN_DOUBT} FROM ${refused}
         AND state.key = k.key AND state.hash = k.hash`,
      named(ofSync),
    );
  }
  for (const [syncId, ofSync] of bySync(await byTimestamps(client, rejected))) {
    const runId = Math.max(...ofSync.map((each) => each.run_id));
    await retryLater(client, { syncId, runId }, `SELECT k.key FROM ${refused}`, named(ofSync));
  }
}

/**
 * Nobody knows whether the destination took the rows: those that it held before are sent again, even if the source
 * goes back to what it then was, and a key whose delete is in doubt is sent again if it comes back.
 */
export async function doubtRows(client: pg.PoolClient, unknown: readonly BatchInHand[]): Promise<void> {
  const held = unknown.filter(
    ({ operation, forgets }) => forgets || operation === "upsert" || operation === "update",
  );
  for (const [syncId, ofSync] of bySync(held)) {
    await client.query(
      `UPDATE ${stateTable(syncId)} AS state SET hash = ${IN_DOUBT} FROM ${ROWS} AND state.key = k.key`,
      named(ofSync),
    );
  }
}

/** Those batches whose runs find new rows by timestamps; costs nothing where there is no append. */
async function byTimestamps(
  client: pg.PoolClient,
  batches: readonly BatchInHand[],
): Promise<readonly BatchInHand[]> {
  const appends = batches.filter((each) => each.operation === "append");
  if (appends.length === 0) return [];
  const { rows } = await client.query<{ run_id: number }>(
    "SELECT run_id FROM egret.plans WHERE run_id = ANY ($1::bigint[]) AND high_water_mark IS NOT NULL",
    [[...new Set(appends.map((each) => each.run_id))]],
  );
  const runs = new Set(rows.map((row) => row.run_id));
  return appends.filter((each) => runs.has(each.run_id));
}
