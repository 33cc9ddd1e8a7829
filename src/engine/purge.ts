/** Deletes what the engine still has of old runs: rows as they were sent or set aside, batches, plans, accepted commands. */
import type pg from "pg";
import { dropSentRows } from "./sentRows.ts";

/** Rows of one table that went, or would go. */
export interface PurgedRows {
  table: string;
  rows: number;
}

/** What of runs is old enough. */
export interface RunPurge {
  /** Runs accepted before lose their rows: those that were sent, and those that were set aside. */
  recordsBefore: Date;
  /** Runs accepted before lose their plan and batches. */
  runsBefore: Date;
  /** Commands accepted before are forgotten: repeated after that, one causes a run of its own. */
  commandsBefore: Date;
  isDryRun: boolean;
  signal?: AbortSignal;
}

/** Rows per statement: each holds its locks for some milliseconds. */
const CHUNK_ROWS = 5_000;

/**
 * Run ids rise with time, so that old rows stand together at one end of an index. Commands go last: by them the next
 * purge knows which runs are old.
 */
const OLD_RUNS = {
  "egret.batches": "run_id < $1 and outcome is not null and run_id <> all($2::bigint[])",
  "egret.plans": "run_id < $1 and run_id <> all($2::bigint[])",
  "egret.tests": "run_id < $1 and run_id <> all($2::bigint[])",
} as const;
const OLD_ONES = "run_id < $1 and run_id <> all($2::bigint[])";

/**
 * Deletes in bounded chunks; a run that still has its sync keeps everything, however old it is.
 * @throws the signal's reason between two chunks.
 */
export async function purgeRuns(pool: pg.Pool, purge: RunPurge): Promise<PurgedRows[]> {
  const { rows: active } = await pool.query<{ id: number }>(
    "select active_run_id as id from egret.sync_states where active_run_id is not null",
  );
  const kept = active.map(({ id }) => id);
  const purged = await purgeRecords(pool, purge, kept);
  const firstKept = await firstRunSince(pool, purge.runsBefore);
  for (const [table, condition] of Object.entries(OLD_RUNS)) {
    purged.push(await purgeTable(pool, purge, { table, condition, values: [firstKept, kept] }));
  }
  const values = [await firstRunSince(pool, purge.commandsBefore), kept];
  const commands = { table: "egret.accepted_commands", condition: OLD_ONES, values };
  purged.push(await purgeTable(pool, purge, commands));
  return purged;
}

/** Before their batches go, so that no statement has to delete the bytes of thousands of them. */
async function purgeRecords(
  pool: pg.Pool,
  purge: RunPurge,
  activeRuns: readonly number[],
): Promise<PurgedRows[]> {
  const { isDryRun, signal } = purge;
  const beforeRun = await firstRunSince(pool, purge.recordsBefore);
  const sent = await dropSentRows(pool, { beforeRun, activeRuns, isDryRun, signal });
  const values = [beforeRun, activeRuns];
  const invalid = { table: "egret.invalid_rows", condition: OLD_ONES, values };
  return [{ table: "egret.batches (rows)", rows: sent }, await purgeTable(pool, purge, invalid)];
}

/** The first run accepted at an instant or later; beyond the last one when there is none. Reads only what is old. */
async function firstRunSince(pool: pg.Pool, since: Date): Promise<number> {
  const { rows } = await pool.query<{ id: number | null }>(
    `select coalesce(
       (select run_id from egret.accepted_commands where accepted_at >= $1 order by run_id limit 1),
       (select max(run_id) + 1 from egret.accepted_commands)) as id`,
    [since.toISOString()],
  );
  return rows[0]?.id ?? 0;
}

async function purgeTable(
  pool: pg.Pool,
  { isDryRun, signal }: RunPurge,
  { table, condition, values }: { table: string; condition: string; values: unknown[] },
): Promise<PurgedRows> {
  if (isDryRun) {
    const query = `select count(*) as rows from ${table} where ${condition}`;
    const { rows } = await pool.query<{ rows: number }>(query, values);
    return { table, rows: rows[0]?.rows ?? 0 };
  }
  let rows = 0;
  let gone: number;
  do {
    signal?.throwIfAborted();
    const { rowCount } = await pool.query(
      `delete from ${table} where ctid = any(array(
         select ctid from ${table} where ${condition} order by run_id limit ${CHUNK_ROWS} for update skip locked))`,
      values,
    );
    gone = rowCount ?? 0;
    rows += gone;
  } while (gone === CHUNK_ROWS);
  return { table, rows };
}
