/** Compares a snapshot with what was accepted before, in SQL: which keys to send, and which rows to set aside. */
import type pg from "pg";
import { Unavailable } from "../domain/errors.ts";
import { stageTable, stateTable } from "./scratch.ts";

/** A key longer than this cannot be kept in the state's index, ours. */
export const MAX_KEY_BYTES = 2_000;

/** Up to so many keys, and bytes of keys, are held in memory; more stay in Postgres. */
export interface InMemoryLimit {
  keys: number;
  bytes: number;
}

/** Which rows of the second pass are sent. */
export interface Selection {
  /** `only` sends the listed keys; `allBut` sends every row with a key, except for them. */
  mode: "only" | "allBut";
  count: number;
  /** The listed keys, when they are few; else they stand in the temporary table egret_listed. */
  keys: string[] | null;
}

/** What a comparison needs to know. */
export interface DiffRequest {
  syncId: number;
  runId: number;
  sourceRecordCount: number;
  fullSync: boolean;
  inMemory: InMemoryLimit;
}

// What became of a row of the snapshot or of the state.
const NULL_KEY = 0;
const NEW = 1;
const CHANGED = 2;
const GONE = 3;

interface Counts {
  staged: number;
  remembered: number;
  nullKeys: number;
  added: number;
  gone: number;
}

/** Rows that differ from the state, in the temporary table egret_diff; unchanged rows leave no trace. */
async function compare(client: pg.PoolClient, stage: string, state: string): Promise<Counts> {
  await client.query(`
    CREATE TEMPORARY TABLE egret_diff ON COMMIT DROP AS
    SELECT s.key, (CASE WHEN s.hash IS NULL THEN ${GONE} WHEN s.key IS NULL THEN ${NULL_KEY}
                        WHEN t.key IS NULL THEN ${NEW} ELSE ${CHANGED} END)::smallint AS kind
    FROM ${stage} s FULL JOIN ${state} t ON t.key = s.key
    WHERE s.hash IS DISTINCT FROM t.hash`);
  await client.query("ANALYZE egret_diff");
  const { rows } = await client.query<Counts>(`
    SELECT (SELECT count(*) FROM ${stage}) AS staged, (SELECT count(*) FROM ${state}) AS remembered,
           count(*) FILTER (WHERE kind = ${NULL_KEY}) AS "nullKeys", count(*) FILTER (WHERE kind = ${NEW}) AS added,
           count(*) FILTER (WHERE kind = ${GONE}) AS gone
    FROM egret_diff`);
  return rows[0] as Counts;
}

async function countStaged(client: pg.PoolClient, stage: string): Promise<Counts> {
  const { rows } = await client.query(
    `SELECT count(*) AS staged, count(*) FILTER (WHERE key IS NULL) AS "nullKeys" FROM ${stage}`,
  );
  return { ...rows[0], remembered: 0, added: 0, gone: 0 };
}

/**
 * Rows to set aside, in the temporary table egret_invalid: keys that several rows have, keys too long for the state.
 * Grouping a whole snapshot costs as much as the join, so it is done only when the join's counts call for it: if the
 * rows that met a key of the state are as many as the keys that were met, then no key was met twice.
 */
async function findInvalid(client: pg.PoolClient, from: string): Promise<void> {
  await client.query(`
    CREATE TEMPORARY TABLE egret_invalid ON COMMIT DROP AS
    SELECT key, count(*) AS rows FROM ${from} WHERE key IS NOT NULL
    GROUP BY key HAVING count(*) > 1 OR octet_length(key) > ${MAX_KEY_BYTES}`);
  await client.query("ANALYZE egret_invalid");
}

async function recordInvalid(client: pg.PoolClient, runId: number, nullKeys: number): Promise<number> {
  if (nullKeys > 0) {
    await client.query("INSERT INTO egret.invalid_rows VALUES ($1, NULL, 'NULL', $2)", [runId, nullKeys]);
  }
  const { rows } = await client.query<{ rows: number | null }>(
    `WITH written AS (
       INSERT INTO egret.invalid_rows (run_id, identifier, status, rows)
       SELECT $1, left(key, 200), CASE WHEN rows > 1 THEN 'DUPLICATE' ELSE 'INVALID' END, rows FROM egret_invalid
       RETURNING rows)
     SELECT sum(rows)::bigint AS rows FROM written`,
    [runId],
  );
  return nullKeys + (rows[0]?.rows ?? 0);
}

/** Reads the listed keys when they are few; else indexes them where they stand. */
async function list(
  client: pg.PoolClient,
  keysSql: string,
  inMemory: InMemoryLimit,
): Promise<Omit<Selection, "mode">> {
  const { rows } = await client.query<{ count: number; bytes: number | null }>(
    `SELECT count(*) AS count, sum(octet_length(key))::bigint AS bytes FROM (${keysSql}) k`,
  );
  const count = rows[0]?.count ?? 0;
  if (count <= inMemory.keys && (rows[0]?.bytes ?? 0) <= inMemory.bytes) {
    const found = await client.query<[string]>({ text: keysSql, rowMode: "array" });
    return { count, keys: found.rows.map(([key]) => key) };
  }
  await client.query(`CREATE TEMPORARY TABLE egret_listed ON COMMIT DROP AS ${keysSql}`);
  await client.query("CREATE UNIQUE INDEX ON egret_listed (key)");
  await client.query("ANALYZE egret_listed");
  return { count, keys: null };
}

/**
 * The rows to send and the number of rows set aside, which are written to egret.invalid_rows.
 * @throws Unavailable when the snapshot is no longer whole, as after a crash of our Postgres: take it again.
 */
export async function diffSnapshot(
  client: pg.PoolClient,
  request: DiffRequest,
): Promise<{ selection: Selection; invalids: number }> {
  const { runId, fullSync, inMemory } = request;
  const stage = stageTable(runId);
  const counts = fullSync
    ? await countStaged(client, stage)
    : await compare(client, stage, stateTable(request.syncId));
  if (counts.staged !== request.sourceRecordCount) {
    throw new Unavailable(`the snapshot of run ${runId} was lost by our Postgres; take it again`);
  }
  const met = counts.staged - counts.nullKeys - counts.added;
  const isGrouped = fullSync || met > counts.remembered - counts.gone;
  if (isGrouped) await client.query(`ANALYZE ${stage}`);
  await findInvalid(client, isGrouped ? stage : `(SELECT key FROM egret_diff WHERE kind = ${NEW}) n`);
  const invalids = await recordInvalid(client, runId, counts.nullKeys);
  const keysSql = fullSync
    ? "SELECT key FROM egret_invalid"
    : `SELECT key FROM egret_diff d WHERE kind IN (${NEW}, ${CHANGED})
         AND NOT EXISTS (SELECT FROM egret_invalid i WHERE i.key = d.key)`;
  const listed = await list(client, keysSql, inMemory);
  return { selection: { mode: fullSync ? "allBut" : "only", ...listed }, invalids };
}
