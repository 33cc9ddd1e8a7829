/** What alerts keep in our Postgres: the lock under which a sync's alerts move, and the runs that were looked at. */
import { type Kysely, sql, type Transaction } from "kysely";
import { type DeviationSetting, valueOf } from "../../domain/alert.ts";
import type { RunCounters } from "../../domain/event.ts";
import type { Database } from "../../projections/database.ts";

/** One process at a time moves the alerts of a sync; another waits no longer than this, ms, and comes back. */
const LOCK_PATIENCE_MS = 10_000;
/** Completed runs kept of each sync: as many as a deviation may look back on, and some that come late. */
const COMPLETED_KEPT = 120;
/** Other runs kept of each sync, so that one that comes again is known. */
const OTHERS_KEPT = 200;

/** Does the work in a transaction that has the sync's alerts to itself. */
export function withAlertsOf<T>(
  db: Kysely<Database>,
  syncId: number,
  work: (trx: Transaction<Database>) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await sql`select set_config('lock_timeout', ${String(LOCK_PATIENCE_MS)}, true)`.execute(trx);
    const key = `egret alerts of sync ${syncId}`;
    await sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`.execute(trx);
    return work(trx);
  });
}

/** True when the end of the run was looked at. */
export async function isEvaluated(db: Kysely<Database>, syncId: number, runId: number): Promise<boolean> {
  const row = await db
    .selectFrom("egret.alert_runs")
    .select("run_id")
    .where("sync_id", "=", syncId)
    .where("run_id", "=", runId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Up to where in the log every run that was triggered was looked at; 0 at first. */
export async function readFloor(db: Kysely<Database>, syncId: number): Promise<number> {
  const row = await db
    .selectFrom("egret.alert_floors")
    .select("sequence")
    .where("sync_id", "=", syncId)
    .executeTakeFirst();
  return row?.sequence ?? 0;
}

/**
 * Notes that the end of a run was looked at, with its counters if it was completed, and up to where all were; forgets
 * old runs.
 */
export async function noteEvaluated(
  db: Kysely<Database>,
  run: { syncId: number; runId: number; counters: RunCounters | null; floor: number },
): Promise<void> {
  const { syncId, runId, floor } = run;
  const counters = run.counters === null ? null : JSON.stringify(run.counters);
  await db.insertInto("egret.alert_runs").values({ sync_id: syncId, run_id: runId, counters }).execute();
  await db
    .insertInto("egret.alert_floors")
    .values({ sync_id: syncId, sequence: floor })
    .onConflict((conflict) => conflict.column("sync_id").doUpdateSet({ sequence: floor }))
    .execute();
  await sql`
    delete from egret.alert_runs where sync_id = ${syncId} and (
      (counters is not null and run_id < (select run_id from egret.alert_runs
        where sync_id = ${syncId} and counters is not null order by run_id desc offset ${COMPLETED_KEPT} limit 1))
      or (counters is null and run_id < (select run_id from egret.alert_runs
        where sync_id = ${syncId} and counters is null order by run_id desc offset ${OTHERS_KEPT} limit 1)))`.execute(
    db,
  );
}

/** What a deviation alert watches in the completed runs before a run, newest first, as many as it looks back on. */
export async function valuesBefore(
  db: Kysely<Database>,
  run: { syncId: number; runId: number },
  setting: DeviationSetting,
): Promise<number[]> {
  const rows = await db
    .selectFrom("egret.alert_runs")
    .select("counters")
    .where("sync_id", "=", run.syncId)
    .where("run_id", "<", run.runId)
    .where("counters", "is not", null)
    .orderBy("run_id", "desc")
    .limit(setting.options.lookback_runs)
    .execute();
  return rows
    .map(({ counters }) => (counters === null ? null : valueOf(setting, counters)))
    .filter((value) => value !== null);
}

/** The number of a new episode: an integer that subscribers see as `alert_instance_id`. */
export async function nextEpisode(db: Kysely<Database>): Promise<number> {
  const { rows } = await sql<{ id: number }>`select nextval('egret.alert_instance_ids') as id`.execute(db);
  if (rows[0] === undefined) throw new Error("Postgres gave no number for an alert");
  return rows[0].id;
}

/** Notes that the alert of a deleted configuration stands resolved in the log. */
export async function markClosed(db: Kysely<Database>, configurationId: number): Promise<void> {
  await db
    .updateTable("egret.alert_configurations")
    .set({ closed_at: new Date() })
    .where("id", "=", configurationId)
    .execute();
}

/** Forgets the runs of a sync that was deleted. */
export async function forgetRuns(db: Kysely<Database>, syncId: number): Promise<void> {
  await db.deleteFrom("egret.alert_runs").where("sync_id", "=", syncId).execute();
  await db.deleteFrom("egret.alert_floors").where("sync_id", "=", syncId).execute();
}
