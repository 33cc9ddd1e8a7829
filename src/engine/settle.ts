/** Reads batches to send and writes down what became of them; state advances in the same transaction, and only by acceptance. */
import { type Kysely, sql } from "kysely";
import type { BatchOutcome, Database, OpenDatabase } from "../projections/database.ts";
import { stateTable } from "./scratch.ts";
import { inTransaction } from "./transaction.ts";

/** One batch as it is sent. */
export interface BatchToSend {
  /** The exact bytes; null once it is settled. */
  body: Buffer | null;
  bodySha256: string;
  records: number;
  /** Null while it is open. */
  outcome: BatchOutcome | null;
}

/** What became of one batch. */
export interface Settlement {
  runId: number;
  batchNo: number;
  outcome: BatchOutcome;
  /** The destination's own words, for people who look at rejected rows. */
  statusMessage: string | null;
}

/** Batches and records with one outcome. */
export interface Total {
  batches: number;
  records: number;
}

/** What became of a run's batches so far; `open` ones have no outcome yet. */
export type RunTotals = Record<"open" | BatchOutcome, Total>;

/** One batch of a plan; null when there is none. */
export async function readBatch(
  db: Kysely<Database>,
  runId: number,
  batchNo: number,
): Promise<BatchToSend | null> {
  const row = await db
    .selectFrom("egret.batches")
    .select(["body", "body_sha256 as bodySha256", "records", "outcome"])
    .where("run_id", "=", runId)
    .where("batch_no", "=", batchNo)
    .executeTakeFirst();
  return row ?? null;
}

/**
 * Gives many batches their outcome at once. Accepted ones move their keys and hashes into the sync's state; a batch
 * that has an outcome keeps it, so that settling twice changes nothing.
 */
export async function settleBatches(
  database: OpenDatabase,
  settlements: readonly Settlement[],
): Promise<void> {
  if (settlements.length === 0) return;
  const columns = [
    settlements.map((each) => each.runId),
    settlements.map((each) => each.batchNo),
    settlements.map((each) => each.outcome),
    // Postgres keeps no NUL in a text.
    settlements.map((each) => each.statusMessage?.replaceAll("\u0000", "\ufffd") ?? null),
  ];
  await inTransaction(database.pool, async (client) => {
    // Locked in one order, so that two settlers never wait for each other. The first outcome of a batch stands.
    const { rows: open } = await client.query<{ sync_id: number; run_id: number; batch_no: number }>(
      `SELECT b.sync_id, b.run_id, b.batch_no FROM egret.batches b
       WHERE b.outcome IS NULL AND (b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))
       ORDER BY b.run_id, b.batch_no FOR UPDATE`,
      columns.slice(0, 2),
    );
    if (open.length === 0) return;
    const outcomes = new Map(settlements.map((each) => [`${each.runId}-${each.batchNo}`, each.outcome]));
    const accepted = open.filter((each) => outcomes.get(`${each.run_id}-${each.batch_no}`) === "accepted");
    for (const syncId of new Set(accepted.map((each) => each.sync_id))) {
      const ofSync = accepted.filter((each) => each.sync_id === syncId);
      // A model that gives other rows at each reading can repeat a key: either of its hashes is true.
      await client.query(
        `INSERT INTO ${stateTable(syncId)} AS state (key, hash)
         SELECT DISTINCT ON (k.key COLLATE "C") k.key, k.hash
         FROM egret.batches b CROSS JOIN LATERAL unnest(b.keys, b.hashes) AS k (key, hash)
         WHERE (b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))
         ORDER BY k.key COLLATE "C"
         ON CONFLICT (key) DO UPDATE SET hash = excluded.hash`,
        [ofSync.map((each) => each.run_id), ofSync.map((each) => each.batch_no)],
      );
    }
    await client.query(
      `UPDATE egret.batches b
       SET outcome = s.outcome, status_message = s.message, settled_at = now(), body = NULL, keys = NULL, hashes = NULL
       FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) AS s (run_id, batch_no, outcome, message)
       WHERE b.run_id = s.run_id AND b.batch_no = s.batch_no AND b.outcome IS NULL`,
      columns,
    );
  });
}

/** Counts a run's batches and records by outcome. */
export async function runTotals(db: Kysely<Database>, runId: number): Promise<RunTotals> {
  const rows = await db
    .selectFrom("egret.batches")
    .select((eb) => [
      "outcome",
      eb.fn.countAll<number>().as("batches"),
      sql<number>`sum(records)::bigint`.as("records"),
    ])
    .where("run_id", "=", runId)
    .groupBy("outcome")
    .execute();
  const nothing = (): Total => ({ batches: 0, records: 0 });
  const totals: RunTotals = {
    open: nothing(),
    accepted: nothing(),
    rejected: nothing(),
    unavailable: nothing(),
    dropped: nothing(),
  };
  for (const { outcome, batches, records } of rows) totals[outcome ?? "open"] = { batches, records };
  return totals;
}
