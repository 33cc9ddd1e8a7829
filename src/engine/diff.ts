/** Compares a snapshot with what was accepted before, in SQL: which keys to send, and which rows to set aside. */
import type pg from "pg";
import { Unavailable } from "../domain/errors.ts";
import { type Compared, IS_DIFFERENT, setAsideSql } from "./advancedDiff.ts";
import { CHANGED, GONE, NEW, NULL_KEY } from "./diffKinds.ts";
import type { OperationRules } from "./operations.ts";
import { MAX_KEY_BYTES, stageTable, stateTable } from "./scratch.ts";
import type { TakenSnapshot } from "./snapshot.ts";
import { compareWindow, retryLater } from "./windows.ts";

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
  taken: TakenSnapshot;
  fullSync: boolean;
  rules: OperationRules;
  /** See RunMode; for a sync that finds new rows by timestamps. */
  adoptsState: boolean;
  inMemory: InMemoryLimit;
}

/** What a comparison found. Keys that left the source stand in the temporary table egret_diff, see IS_GONE. */
export interface Diff {
  selection: Selection;
  /** Rows set aside. */
  invalids: number;
  /** Keys of the state that the source no longer has, where the operation does something about them. */
  gone: number;
  /** Keys in the state; 0 where nobody needs to know. */
  remembered: number;
}

/** No row is sent. */
export const NOTHING: Selection = { mode: "only", count: 0, keys: [] };

interface Counts {
  staged: number;
  remembered: number;
  nullKeys: number;
  added: number;
  /** 0 where the source compared. */
  changed: number;
  gone: number;
}

/** Rows that differ from the state, in the temporary table egret_diff; unchanged rows leave no trace. */
async function compare(
  client: pg.PoolClient,
  stage: string,
  state: string,
  findsGone: boolean,
): Promise<Counts> {
  await client.query(`
    CREATE TEMPORARY TABLE egret_diff ON COMMIT DROP AS
    SELECT ${findsGone ? "coalesce(s.key, t.key) AS key" : "s.key"}, (CASE WHEN s.hash IS NULL THEN ${GONE} WHEN s.key IS NULL THEN ${NULL_KEY}
                        WHEN t.key IS NULL THEN ${NEW} ELSE ${CHANGED} END)::smallint AS kind
    FROM ${stage} s FULL JOIN ${state} t ON t.key = s.key
    WHERE s.hash IS DISTINCT FROM t.hash`);
  await client.query("ANALYZE egret_diff");
  const { rows } = await client.query<Counts>(`
    SELECT (SELECT count(*) FROM ${stage}) AS staged, (SELECT count(*) FROM ${state}) AS remembered,
           count(*) FILTER (WHERE kind = ${NULL_KEY}) AS "nullKeys", count(*) FILTER (WHERE kind = ${NEW}) AS added,
           count(*) FILTER (WHERE kind = ${CHANGED}) AS changed, count(*) FILTER (WHERE kind = ${GONE}) AS gone
    FROM egret_diff`);
  return rows[0] as Counts;
}

/** The same for a run that sends every row: only keys that left the source are looked for, and only if they matter. */
async function countAll(
  client: pg.PoolClient,
  stage: string,
  state: string,
  findsGone: boolean,
): Promise<Counts> {
  const { rows: staged } = await client.query<{ staged: number; nullKeys: number }>(
    `SELECT count(*) AS staged, count(*) FILTER (WHERE key IS NULL) AS "nullKeys" FROM ${stage}`,
  );
  const counts: Counts = {
    staged: 0,
    nullKeys: 0,
    ...staged[0],
    remembered: 0,
    added: 0,
    changed: 0,
    gone: 0,
  };
  if (!findsGone) return counts;
  const { rowCount } = await client.query(`
    CREATE TEMPORARY TABLE egret_diff ON COMMIT DROP AS
    SELECT t.key, ${GONE}::smallint AS kind FROM ${state} t
    WHERE NOT EXISTS (SELECT FROM ${stage} s WHERE s.key = t.key)`);
  await client.query("ANALYZE egret_diff");
  const { rows } = await client.query<{ remembered: number }>(`SELECT count(*) AS remembered FROM ${state}`);
  return { ...counts, remembered: rows[0]?.remembered ?? 0, gone: rowCount ?? 0 };
}

/**
 * Rows to set aside, in the temporary table egret_invalid: keys that several rows have, keys too long for the state.
 * Grouping a whole snapshot costs as much as the join, so it is done only when the join's counts call for it: if the
 * rows that met a key of the state are as many as the keys that were met, then no key was met twice.
 */
async function findInvalid(client: pg.PoolClient, from: string): Promise<void> {
  await listInvalid(
    client,
    `SELECT key, count(*) AS rows FROM ${from} WHERE key IS NOT NULL
     GROUP BY key HAVING count(*) > 1 OR octet_length(key) > ${MAX_KEY_BYTES}`,
  );
}

async function listInvalid(client: pg.PoolClient, rowsSql: string): Promise<void> {
  await client.query(`CREATE TEMPORARY TABLE egret_invalid ON COMMIT DROP AS ${rowsSql}`);
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

function checkWhole(staged: number, { taken, runId }: DiffRequest): void {
  if (staged === taken.stagedRows) return;
  throw new Unavailable(`the snapshot of run ${runId} was lost by our Postgres; take it again`);
}

/**
 * The rows to send and the number of rows set aside, which are written to egret.invalid_rows.
 * @throws Unavailable when the snapshot is no longer whole, as after a crash of our Postgres: take it again.
 */
export async function diffSnapshot(client: pg.PoolClient, request: DiffRequest): Promise<Diff> {
  const { runId, inMemory, taken } = request;
  if (taken.timestamps !== null) return diffWindow(client, request, taken.timestamps.window);
  const counts = await (taken.compared === null
    ? compareHere(client, request)
    : adoptComparison(client, request, taken.compared));
  const invalids = await recordInvalid(client, runId, counts.nullKeys);
  const { mode, keysSql } = chooseList(request, counts);
  const listed = await list(client, keysSql, inMemory);
  const { gone, remembered } = counts;
  return { selection: { mode, ...listed }, invalids, gone, remembered };
}

/** Lists the rows to send, or, where those are most of the source's, the others: the source is then read in one go. */
function chooseList(
  { runId, fullSync, rules, taken }: DiffRequest,
  { staged, nullKeys, added, changed }: Counts,
): Pick<Selection, "mode"> & { keysSql: string } {
  const invalid = "SELECT key FROM egret_invalid";
  if (fullSync) return { mode: "allBut", keysSql: invalid };
  const kinds = rules.sendsChanged ? `${NEW}, ${CHANGED}` : `${NEW}`;
  const differing = added + (rules.sendsChanged ? changed : 0);
  const others = staged - nullKeys - differing;
  if (taken.compared !== null || differing <= others) {
    const keysSql = `SELECT key FROM egret_diff d WHERE kind IN (${kinds})
      AND NOT EXISTS (SELECT FROM egret_invalid i WHERE i.key = d.key)`;
    return { mode: "only", keysSql };
  }
  if (others === 0) return { mode: "allBut", keysSql: invalid };
  const same = `SELECT s.key FROM ${stageTable(runId)} s WHERE s.key IS NOT NULL
    AND NOT EXISTS (SELECT FROM egret_diff d WHERE d.key = s.key AND d.kind IN (${kinds}))`;
  return { mode: "allBut", keysSql: `${invalid} UNION ${same}` };
}

/** Fills egret_diff and egret_invalid from the snapshot in our Postgres. */
async function compareHere(client: pg.PoolClient, request: DiffRequest): Promise<Counts> {
  const { runId, syncId, fullSync, rules } = request;
  const [stage, state] = [stageTable(runId), stateTable(syncId)];
  const count = fullSync ? countAll : compare;
  const counts = await count(client, stage, state, rules.gone !== "keep");
  checkWhole(counts.staged, request);
  const met = counts.staged - counts.nullKeys - counts.added;
  const isGrouped = fullSync || met > counts.remembered - counts.gone;
  if (isGrouped) await client.query(`ANALYZE ${stage}`);
  await findInvalid(client, isGrouped ? stage : `(SELECT key FROM egret_diff WHERE kind = ${NEW}) n`);
  return counts;
}

/** Fills them from what the source found different. */
async function adoptComparison(
  client: pg.PoolClient,
  request: DiffRequest,
  compared: Compared,
): Promise<Counts> {
  const stage = stageTable(request.runId);
  const { rows } = await client.query<{ there: boolean }>(`SELECT EXISTS (SELECT FROM ${stage}) AS there`);
  // It is never empty: it has the number of keys in the state.
  checkWhole(rows[0]?.there === true ? compared.staged : -1, request);
  await client.query(
    `CREATE TEMPORARY TABLE egret_diff ON COMMIT DROP AS SELECT key, kind FROM ${stage} WHERE ${IS_DIFFERENT}`,
  );
  await client.query("ANALYZE egret_diff");
  await listInvalid(client, setAsideSql(stage, compared));
  return { ...compared, changed: 0 };
}

/** Rows of a window are all sent but for those set aside, and those that a run which then failed had sent already. */
async function diffWindow(
  client: pg.PoolClient,
  request: DiffRequest,
  window: Parameters<typeof compareWindow>[1]["window"] | null,
): Promise<Diff> {
  const { syncId, runId, adoptsState, inMemory } = request;
  const stage = stageTable(runId);
  const { rows } = await client.query<{ staged: number }>(`SELECT count(*) AS staged FROM ${stage}`);
  checkWhole(rows[0]?.staged ?? 0, request);
  if (window === null) return { selection: NOTHING, invalids: 0, gone: 0, remembered: 0 };
  const found = await compareWindow(client, { syncId, runId, window, adoptsState });
  await findInvalid(client, found.consideredSql);
  const invalids = await recordInvalid(client, runId, found.nullKeys);
  await retryLater(client, { syncId, runId }, "SELECT key FROM egret_invalid");
  const listed = await list(client, `SELECT key FROM egret_invalid UNION ${found.knownSql}`, inMemory);
  const selection: Selection = found.considered === 0 ? NOTHING : { mode: "allBut", ...listed };
  return { selection, invalids, gone: 0, remembered: 0 };
}
