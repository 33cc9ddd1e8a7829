/** Compares model and state in the source itself, in the run's one snapshot: only differences and counters travel. */
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import type { CompiledSync, SourceSnapshot } from "../sources/source.ts";
import { checkRelayed, type SourceHome } from "./advancedState.ts";
import { CHANGED, GONE, NEW, NULL_KEY } from "./diffKinds.ts";
import { OPERATION_RULES } from "./operations.ts";
import { MAX_KEY_BYTES, stageTable } from "./scratch.ts";
import { fillFrom } from "./stageFill.ts";

/** What is compared, in which snapshot. */
export interface SourceComparison {
  snapshot: SourceSnapshot;
  compiled: CompiledSync;
  sync: Pick<Sync, "id" | "options" | "operation">;
  mode: { fullSync: boolean; beginsAnew: boolean; previousColumns: readonly string[] | null };
  home: SourceHome;
  runId: number;
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** What a comparison in the source found; the differences stand in the run's scratch table. */
export interface Compared {
  home: SourceHome;
  /** Whether every row is to be sent, so that new and changed keys were not listed. */
  fullSync: boolean;
  /** Rows of the model. */
  staged: number;
  /** Keys of the state. */
  remembered: number;
  nullKeys: number;
  /** Rows with a key that the state does not have. */
  added: number;
  /** Keys of the state that the model does not have. */
  gone: number;
  /** Whether every key of the model was counted, and those that are set aside listed; else new keys have their count. */
  isGrouped: boolean;
}

// More kinds, only in the scratch table of such a comparison.
const UNCHANGED = 4;
const REMEMBERED = 5;
const SET_ASIDE = 6;
const SET_ASIDE_NEW = 7;

/** Condition, in the scratch table, of new or changed keys, and those that left the source. */
export const IS_DIFFERENT = `key IS NOT NULL AND kind IN (${NEW}, ${CHANGED}, ${GONE})`;

/** Rows to set aside by their key, as a query of (key, rows) over the scratch table. */
export function setAsideSql(stage: string, { isGrouped }: Compared): string {
  return isGrouped
    ? `SELECT key, rows FROM ${stage} WHERE kind IN (${SET_ASIDE}, ${SET_ASIDE_NEW})`
    : `SELECT key, rows FROM ${stage} WHERE kind = ${NEW} AND (rows > 1 OR octet_length(key) > ${MAX_KEY_BYTES})`;
}

/** Last accepted records of keys that left the source. */
export function GONE_RECORDS(runId: number): string {
  return `(SELECT key, record FROM ${stageTable(runId)} WHERE kind = ${GONE})`;
}

/** Rows that are as many in the snapshot as valid keys that the state does not have: those would be created. */
export async function countAdded(
  client: pg.PoolClient,
  runId: number,
  { added, isGrouped }: Compared,
): Promise<number> {
  const invalid = isGrouped
    ? `kind = ${SET_ASIDE_NEW}`
    : `kind = ${NEW} AND (rows > 1 OR octet_length(key) > ${MAX_KEY_BYTES})`;
  const { rows } = await client.query<{ rows: number }>(
    `SELECT coalesce(sum(rows), 0)::bigint AS rows FROM ${stageTable(runId)} WHERE ${invalid}`,
  );
  return added - (rows[0]?.rows ?? 0);
}

/**
 * Fills the run's scratch table, made anew, with what differs.
 * @throws RunFailure when the source fails; Unavailable when its state is not the one that was looked at.
 */
export async function compareInSource(client: pg.PoolClient, wanted: SourceComparison): Promise<Compared> {
  const { snapshot, home, runId, mode, onProgress, signal } = wanted;
  await checkRelayed(client, snapshot, home);
  const stage = stageTable(runId);
  await client.query(
    `CREATE UNLOGGED TABLE ${stage} (key text COLLATE "C", kind smallint NOT NULL, rows bigint NOT NULL, record text)`,
  );
  const fill = (sql: string, isNew: boolean) =>
    fillFrom(client, { snapshot, sql, into: stage, isNew, onProgress, signal });
  await fill(differencesSql(wanted), true);
  const { rows } = await client.query<{ kind: number; rows: number }>(
    `SELECT kind::int, sum(rows)::bigint AS rows FROM ${stage} GROUP BY kind`,
  );
  const of = (kind: number) => rows.find((each) => each.kind === kind)?.rows ?? 0;
  const staged = of(NULL_KEY) + of(NEW) + of(CHANGED) + of(UNCHANGED);
  const [remembered, nullKeys, added, gone] = [of(REMEMBERED), of(NULL_KEY), of(NEW), of(GONE)];
  // As in our own diff: as many rows as keys of the state that they met, and no key was met twice.
  const isGrouped = mode.fullSync || staged - nullKeys - added > remembered - gone;
  if (isGrouped) await fill(groupsSql(wanted), false);
  await client.query(`ANALYZE ${stage}`);
  return { home, fullSync: mode.fullSync, staged, remembered, nullKeys, added, gone, isGrouped };
}

const NO_STATE = `(SELECT NULL::text COLLATE "C" AS key, NULL::bigint AS hash, NULL::text AS record WHERE false)`;

function tables({ compiled, mode, home }: SourceComparison): { model: string; state: string } {
  const rehash = mode.previousColumns === null ? null : compiled.rehashSql(mode.previousColumns);
  const keys =
    rehash === null
      ? `SELECT key, hash FROM (${compiled.keysSql}\n) AS k`
      : `SELECT key, previous AS hash FROM (${rehash}\n) AS k`;
  return {
    // OFFSET 0 keeps the planner from writing the hash's expression, and computing it, wherever it is compared.
    model: `(SELECT (key::text) COLLATE "C" AS key, hash FROM (${keys}) AS n OFFSET 0)`,
    state: mode.beginsAnew ? NO_STATE : home.table,
  };
}

/** Differing keys with their rows, and one row for all others of a kind: in one pass over both. */
function differencesSql(wanted: SourceComparison): string {
  const { model, state } = tables(wanted);
  const { sync, mode } = wanted;
  const listed = [
    ...(mode.fullSync ? [] : [NEW, CHANGED]),
    ...(OPERATION_RULES[sync.operation].gone === "keep" ? [] : [GONE]),
  ];
  const keepsRecords = sync.operation === "mirror" && sync.options.send_full_record_on_delete;
  const key = listed.length === 0 ? "NULL::text" : `CASE WHEN kind IN (${listed.join(", ")}) THEN key END`;
  const record = keepsRecords ? `min(CASE WHEN kind = ${GONE} THEN record END)` : "NULL::text";
  return `SELECT ${key} AS key, kind, count(*) AS rows, ${record} AS record
    FROM (SELECT coalesce(s.key, t.key) AS key, t.record,
            (CASE WHEN s.hash = t.hash THEN ${UNCHANGED} WHEN s.hash IS NULL THEN ${GONE} WHEN s.key IS NULL THEN ${NULL_KEY}
                  WHEN t.key IS NULL THEN ${NEW} ELSE ${CHANGED} END)::smallint AS kind
          FROM ${model} AS s FULL JOIN ${state} AS t ON t.key = s.key) AS d
    GROUP BY 1, 2
    UNION ALL SELECT NULL, ${REMEMBERED}::smallint, count(*), NULL FROM ${state} AS t`;
}

/** Keys that several rows have, or that are too long. */
function groupsSql(wanted: SourceComparison): string {
  const { model, state } = tables(wanted);
  return `SELECT g.key,
      (CASE WHEN EXISTS (SELECT FROM ${state} AS t WHERE t.key = g.key) THEN ${SET_ASIDE} ELSE ${SET_ASIDE_NEW} END)::smallint,
      g.rows, NULL::text
    FROM (SELECT key, count(*) AS rows FROM ${model} AS s WHERE key IS NOT NULL
          GROUP BY key HAVING count(*) > 1 OR octet_length(key) > ${MAX_KEY_BYTES}) AS g`;
}
