/** The next tick of each sync in our Postgres: worked out after an edit, taken by one scheduler when it is due. */
import { type Kysely, sql, type Transaction } from "kysely";
import { latestTick, nextTick, type Schedule } from "../../domain/schedule.ts";
import { syncOptionsSchema } from "../../domain/syncOptions.ts";
import type { Database } from "../../projections/database.ts";

/** A tick that is due and that no other scheduler has. */
export interface DueTick {
  workspaceId: number;
  syncId: number;
  schedule: Schedule;
  /** The latest one, when several were missed. */
  at: Date;
}

const PLANNED_AT_ONCE = 500;

/**
 * Works out the next tick of syncs whose schedule is new or was edited, counting from the edit, so that a tick missed
 * since then is caught up. False when there is none that no other scheduler has.
 */
export async function planTicks(db: Kysely<Database>): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ sync_id: number; counts_from: Date; options: unknown; paused: boolean }>`
      select tick.sync_id, tick.counts_from, sync.options, sync.paused
      from egret.schedule_ticks tick join egret.syncs sync on sync.id = tick.sync_id
      where not tick.is_planned
      order by tick.sync_id limit ${PLANNED_AT_ONCE} for update of tick skip locked`.execute(trx);
    for (const row of rows) {
      const { schedule, paused } = syncOptionsSchema.parse(row.options);
      const rests = paused || row.paused || schedule === undefined;
      await setNext(trx, row.sync_id, rests ? null : tickOrNull(schedule, row.counts_from));
    }
    return rows.length > 0;
  });
}

/** A schedule that cannot be read fires never, instead of holding all others up: it was refused where it came in. */
function tickOrNull(schedule: Schedule, after: Date): Date | null {
  try {
    return nextTick(schedule, after);
  } catch {
    return null;
  }
}

async function setNext(trx: Transaction<Database>, syncId: number, next: Date | null): Promise<void> {
  await trx
    .updateTable("egret.schedule_ticks")
    .set({ is_planned: true, next_tick_at: next })
    .where("sync_id", "=", syncId)
    .execute();
}

/**
 * When a tick is due: as planned, and of a continuous schedule not before the run before has ended, nor within a minute
 * of its start. Null for one that has to wait for a run's end.
 */
const DUE_AT = sql<Date | null>`
  case when sync.options->'schedule'->>'frequency' <> 'continuous' then tick.next_tick_at
       when state.active_run_id is null
         then greatest(tick.next_tick_at, state.last_began_at + interval '1 minute', state.last_ended_at)
  end`;
const TICKS = sql`
  egret.schedule_ticks tick join egret.syncs sync on sync.id = tick.sync_id
  left join egret.sync_states state on state.sync_id = tick.sync_id`;

/**
 * Gives a due tick to `publish` and plans the next one, in one transaction that holds the tick against other
 * schedulers; false when none is due. A crash in between leaves the tick due, and `publish` gets the same one again.
 */
export async function takeDueTick(
  db: Kysely<Database>,
  now: Date,
  publish: (tick: DueTick) => Promise<void>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ sync_id: number; workspace_id: number; due_at: Date; options: unknown }>`
      select tick.sync_id, sync.workspace_id, sync.options, ${DUE_AT} as due_at
      from ${TICKS}
      where tick.next_tick_at <= ${now} and ${DUE_AT} <= ${now}
      order by tick.next_tick_at limit 1 for update of tick skip locked`.execute(trx);
    const row = rows[0];
    if (row === undefined) return false;
    const { schedule } = syncOptionsSchema.parse(row.options);
    if (schedule === undefined) {
      await setNext(trx, row.sync_id, null);
      return true;
    }
    const at = latestTick(schedule, row.due_at, now);
    await publish({ workspaceId: row.workspace_id, syncId: row.sync_id, schedule, at });
    await trx
      .updateTable("egret.schedule_ticks")
      .set({ next_tick_at: nextTick(schedule, at), last_tick_at: at })
      .where("sync_id", "=", row.sync_id)
      .execute();
    return true;
  });
}

/** What there is to do: in one statement, since mostly there is nothing. */
export interface Outlook {
  hasUnplanned: boolean;
  /** Some may have to wait for the end of a run. */
  hasDue: boolean;
  /** The next tick that is not due yet; null when none is planned. */
  next: Date | null;
}

/** Looks without locking anything. */
export async function readOutlook(db: Kysely<Database>, now: Date): Promise<Outlook> {
  const { rows } = await sql<Outlook>`
    select exists (select from egret.schedule_ticks where not is_planned) as "hasUnplanned",
           exists (select from egret.schedule_ticks where next_tick_at <= ${now}) as "hasDue",
           (select min(next_tick_at) from egret.schedule_ticks where next_tick_at > ${now}) as next`.execute(
    db,
  );
  return rows[0] ?? { hasUnplanned: false, hasDue: false, next: null };
}
