/** What starts each sync by itself, as a list to show. */
import { type Kysely } from "kysely";
import { nextTick, type Schedule, scheduleWords } from "../domain/schedule.ts";
import { syncOptionsSchema } from "../domain/syncOptions.ts";
import type { Database } from "../projections/database.ts";

/** One sync with its triggers; names as in its JSON. */
export interface ScheduledSync {
  sync_id: number;
  sync_name: string;
  workspace_id: number;
  schedule: Schedule | null;
  /** Such as `Hourly at minute 0`. */
  schedule_words: string;
  /** Null when nothing is scheduled, or it is paused. */
  next_tick_at: Date | null;
  last_tick_at: Date | null;
  /** Name of the sync after whose success it runs. */
  sync_sequence: string | null;
  paused: boolean;
  running_run_id: number | null;
}

/** Syncs by workspace and name, also those that nothing starts. */
export async function listSchedules(
  db: Kysely<Database>,
  wanted: { workspaceId?: number } = {},
): Promise<ScheduledSync[]> {
  let query = db
    .selectFrom("egret.syncs as sync")
    .leftJoin("egret.schedule_ticks as tick", "tick.sync_id", "sync.id")
    .leftJoin("egret.sync_states as state", "state.sync_id", "sync.id")
    .select(["sync.id", "sync.name", "sync.workspace_id", "sync.options", "sync.paused"])
    .select(["tick.counts_from", "tick.is_planned", "tick.next_tick_at", "tick.last_tick_at"])
    .select("state.active_run_id");
  if (wanted.workspaceId !== undefined) query = query.where("sync.workspace_id", "=", wanted.workspaceId);
  const rows = await query.orderBy("sync.workspace_id").orderBy("sync.name").execute();
  return rows.map((row) => {
    const options = syncOptionsSchema.parse(row.options);
    const schedule = options.schedule ?? null;
    const paused = options.paused || row.paused;
    // Edited a moment ago, or no scheduler runs: the same is worked out here.
    const isUnplanned = row.is_planned === false && row.counts_from !== null && !paused && schedule !== null;
    const next = isUnplanned ? nextTick(schedule, row.counts_from ?? new Date(0)) : row.next_tick_at;
    return {
      sync_id: row.id,
      sync_name: row.name,
      workspace_id: row.workspace_id,
      schedule,
      schedule_words: schedule === null ? "-" : scheduleWords(schedule),
      next_tick_at: next,
      last_tick_at: row.last_tick_at,
      sync_sequence: options.sync_sequence ?? null,
      paused,
      running_run_id: row.active_run_id,
    };
  });
}
