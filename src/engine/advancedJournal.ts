/** A state in the source, as transactions of ours see it: what becomes of rows is noted here, and relayed afterwards. */
import type pg from "pg";
import { type Compared, GONE_RECORDS } from "./advancedDiff.ts";
import { IS_GONE } from "./diffKinds.ts";
import { type BatchInHand, named, type PlannedState, type SettledState } from "./stateHome.ts";

/** Kinds of entries, as egret.state_journal has them. */
export type EntryKind = "remember" | "forget" | "doubt" | "doubt_same" | "clear";

/** Which of a batch's rows an entry is about, as a lateral query of (keys, hashes, records). */
const WHOLE = "(SELECT b.keys, b.hashes, b.row_records)";
const some = (condition: string) => `
  SELECT array_agg(k.key), array_agg(k.hash), CASE WHEN b.row_records IS NOT NULL THEN array_agg(k.record) END
  FROM unnest(b.keys, b.hashes, b.row_records, b.row_errors) AS k (key, hash, record, error)
  WHERE ${condition} HAVING count(*) > 0`;
const TAKEN = `(SELECT b.keys, b.hashes, b.row_records WHERE b.row_errors IS NULL
  UNION ALL ${some("b.row_errors IS NOT NULL AND k.error IS NULL")})`;
const REFUSED = `(${some("k.error IS NOT NULL")})`;

/** Keys of one entry that is not made of a batch. */
const KEYS_PER_ENTRY = 5_000;

/**
 * Adds entries from a query of (place, keys, hashes, records), $3 and on being its values. The row of egret.state_homes
 * stays locked until the transaction's end, so that numbers become visible in their order.
 */
async function append(
  client: pg.PoolClient,
  entry: { syncId: number; kind: EntryKind; most: number; sql: string; values?: unknown[] },
): Promise<void> {
  await client.query(
    `WITH reserved AS (UPDATE egret.state_homes SET last_seq = last_seq + $2 WHERE sync_id = $1 RETURNING last_seq - $2 AS at)
     INSERT INTO egret.state_journal (sync_id, seq, kind, keys, hashes, records)
     SELECT $1::bigint, coalesce((SELECT at FROM reserved), (SELECT max(seq) FROM egret.state_journal WHERE sync_id = $1), 0)
              + row_number() OVER (ORDER BY e.place), '${entry.kind}', e.keys, e.hashes, e.records
     FROM (${entry.sql}) AS e (place, keys, hashes, records)`,
    [entry.syncId, entry.most, ...(entry.values ?? [])],
  );
}

async function appendBatches(
  client: pg.PoolClient,
  kind: EntryKind,
  batches: readonly BatchInHand[],
  rows: string,
): Promise<void> {
  const [first] = batches;
  if (first === undefined) return;
  await append(client, {
    syncId: first.sync_id,
    kind,
    most: batches.length,
    sql: `SELECT row_number() OVER (ORDER BY b.run_id, b.batch_no), r.*
          FROM egret.batches b CROSS JOIN LATERAL ${rows} AS r (keys, hashes, records)
          WHERE (b.run_id, b.batch_no) IN (SELECT * FROM unnest($3::bigint[], $4::int[]))`,
    values: named(batches),
  });
}

/** Notes what becomes of batches whose sync has its state in the source. */
export const journalState: SettledState = {
  remember: (client, batches) => appendBatches(client, "remember", batches, TAKEN),
  forget: (client, batches) => appendBatches(client, "forget", batches, TAKEN),
  doubt: (client, batches) => appendBatches(client, "doubt", batches, WHOLE),
  doubtSame: (client, batches, rows) =>
    appendBatches(client, "doubt_same", batches, rows === "refused" ? REFUSED : WHOLE),
};

/** The state of a sync in its source, for a plan that was compared there. */
export function plannedJournal(
  { syncId, runId }: { syncId: number; runId: number },
  compared: Compared,
): PlannedState {
  let isCleared = false;
  return {
    prepare: () => Promise.resolve(),
    async clear(client) {
      isCleared = true;
      await append(client, {
        syncId,
        kind: "clear",
        most: 1,
        sql: "SELECT 1, '{}'::text[], NULL::bigint[], NULL::text[]",
      });
    },
    isEmpty: () => Promise.resolve(isCleared || compared.remembered === 0),
    async forgetGone(client) {
      const { rows } = await client.query<{ gone: number }>(
        `SELECT count(*) AS gone FROM egret_diff WHERE ${IS_GONE}`,
      );
      await append(client, {
        syncId,
        kind: "forget",
        most: Math.ceil((rows[0]?.gone ?? 0) / KEYS_PER_ENTRY),
        sql: `SELECT n / ${KEYS_PER_ENTRY}, array_agg(key), NULL::bigint[], NULL::text[]
              FROM (SELECT key, row_number() OVER () - 1 AS n FROM egret_diff WHERE ${IS_GONE}) d GROUP BY 1`,
      });
    },
    goneRecords: GONE_RECORDS(runId),
  };
}
