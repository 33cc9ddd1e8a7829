/** The common settlement in one statement: every batch was accepted, and each row is one that the state has, or none is. */
import type pg from "pg";
import { toError } from "../domain/errors.ts";
import { stateTable } from "./scratch.ts";

/** Accepted batches of one sync by their places in two lists, and whether their rows stay as they were sent. */
export interface AcceptedAtOnce {
  syncId: number;
  runIds: readonly number[];
  batchNos: readonly number[];
  keepsRows: boolean;
}

/** A key that was taken for a new one is known; the state stands in the source, and no table is here. */
const KNOWN_KEY = "23505";
const OTHER_WAY = new Set([KNOWN_KEY, "42P01"]);

/** What the caller executes before, together with other settings: a statement of its own would only cost time. */
export const BEFORE_AT_ONCE = "SET LOCAL plan_cache_mode = force_generic_plan; SAVEPOINT egret_at_once";

/**
 * The statement that each connection has ready, and for the state of which sync. To plan it took Postgres a third of the
 * time that forty batches of one row take. One a connection: with many syncs they would take more memory than they are worth.
 */
const ready = new WeakMap<pg.PoolClient, { syncId: number; name: string }>();
let lastName = 0;

/** The name of the statement for a sync on this connection, and what prepares it there first. */
function prepared(client: pg.PoolClient, syncId: number): { name: string; preparing: string } {
  const known = ready.get(client);
  if (known?.syncId === syncId) return { name: known.name, preparing: "" };
  lastName += 1;
  const name = `egret_settle_${lastName}`;
  const before = known === undefined ? "" : `DEALLOCATE ${known.name};`;
  ready.delete(client);
  return { name, preparing: `${before} PREPARE ${name} AS ${statement(stateTable(syncId))};` };
}

/**
 * Settles them in a transaction of the caller's, as settleBatches would with a statement for each step: those cost more
 * than what they do where a batch has one row. False, with nothing written, where it takes more than this.
 */
export async function settleAtOnce(client: pg.PoolClient, accepted: AcceptedAtOnce): Promise<boolean> {
  const { syncId, runIds, batchNos, keepsRows } = accepted;
  const { name, preparing } = prepared(client, syncId);
  // Numbers alone are written into it. Several statements in one text have a result each.
  const text = `${preparing} EXECUTE ${name} ('{${runIds.join()}}', '{${batchNos.join()}}', ${syncId}, ${keepsRows})`;
  try {
    const results: unknown = await client.query(text);
    const result = (Array.isArray(results) ? results.at(-1) : results) as pg.QueryResult<{ isDone: boolean }>;
    ready.set(client, { syncId, name });
    if (result.rows[0]?.isDone === true) return true;
  } catch (thrown) {
    const { code = "" } = toError(thrown) as { code?: string };
    if (!OTHER_WAY.has(code)) throw thrown;
    if (code === KNOWN_KEY) ready.set(client, { syncId, name });
  }
  await client.query("ROLLBACK TO SAVEPOINT egret_at_once");
  return false;
}

/**
 * Condition of a batch, as b, that has no outcome; one that hides from the planner that an index has just those. By
 * stale statistics it takes that index for a short one, and would read all of it each time instead of looking up a few.
 */
export const IS_OPEN = "coalesce(b.outcome, '') = ''";

/** Locks batches, then keys, in the orders in which all who settle do. `known` looks at one key of each batch. */
const statement = (state: string): string => `
  WITH open AS MATERIALIZED (
    SELECT b.run_id, b.batch_no, b.keys, b.hashes,
      b.sync_id = $3::bigint AND b.operation IN ('upsert', 'update', 'insert') AND b.hashes IS NOT NULL AND b.row_records IS NULL
        AND b.row_errors IS NULL AND NOT EXISTS (SELECT FROM egret.state_homes h WHERE h.sync_id = b.sync_id) AS is_plain
    FROM egret.batches b
    WHERE ${IS_OPEN} AND (b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))
    ORDER BY b.run_id, b.batch_no FOR UPDATE),
  look AS MATERIALIZED (
    SELECT count(*) AS batches, count((SELECT t.hash FROM ${state} t WHERE t.key = open.keys[1])) AS known,
      coalesce(bool_and(open.is_plain), true) AS are_plain
    FROM open),
  k AS MATERIALIZED (
    SELECT k.key COLLATE "C" AS key, k.hash FROM open CROSS JOIN LATERAL unnest(open.keys, open.hashes) AS k (key, hash)
    WHERE (SELECT are_plain FROM look) ORDER BY 1),
  updated AS (
    UPDATE ${state} t SET hash = k.hash FROM k
    WHERE (SELECT known = batches FROM look) AND t.key = k.key RETURNING 1),
  inserted AS (
    INSERT INTO ${state} (key, hash) SELECT k.key, k.hash FROM k WHERE (SELECT known = 0 FROM look) RETURNING 1),
  settled AS (
    UPDATE egret.batches b
    SET outcome = 'accepted', settled_at = now(), hashes = NULL, status_message = NULL, rejected_records = 0,
        body = CASE WHEN $4::boolean THEN b.body END, source_records = CASE WHEN $4::boolean THEN b.source_records END,
        request = CASE WHEN $4::boolean THEN b.request END, keys = CASE WHEN $4::boolean THEN b.keys END
    FROM open WHERE b.run_id = open.run_id AND b.batch_no = open.batch_no)
  SELECT are_plain AND (SELECT count(*) FROM k) = (SELECT count(*) FROM updated) + (SELECT count(*) FROM inserted) AS "isDone"
  FROM look`;
