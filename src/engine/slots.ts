/** How many runs of a workspace work at once: our Postgres decides, across all processes, the oldest run first. */
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";

/**
 * A run whose worker has not been heard of for this long keeps no place, s: its process died. Longer than a parked run's
 * longest pause and than some missed renewals.
 */
const FORGOTTEN_AFTER_S = 15;

/** Whether a run may work now. `parked` counts how often it was told to wait; `ahead` how many are before it. */
export type SlotAnswer =
  | { kind: "granted"; parked: number }
  /** Another run of its sync is under way: it waits for the end of that one alone. */
  | { kind: "blocked" }
  | { kind: "full"; ahead: number };

/**
 * Asks for a place among the `limit` working runs of the workspace; one that has a place keeps it. Older runs come first
 * (behaviour.md 3.3): a place is given only when there is one for each older run that waits too, whichever asks first.
 */
export async function askForSlot(
  db: Kysely<Database>,
  run: { workspaceId: number; syncId: number; runId: number },
  limit: number,
): Promise<SlotAnswer> {
  const { workspaceId, syncId, runId } = run;
  return db.transaction().execute(async (tx) => {
    // Those who ask for places of one workspace take turns.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`egret slots ${workspaceId}`}, 0))`.execute(tx);
    const { rows } = await sql<{ working: number; ahead: number; blocked: boolean; mine: boolean }>`
      select count(*) filter (where state = 'working' and run_id <> ${runId})::integer as working,
             count(*) filter (where run_id < ${runId} and (state = 'waiting' or state = 'blocked' and run_id not in
                 (select waiting_run_id from egret.sync_states where waiting_run_id is not null)))::integer as ahead,
             coalesce(bool_or(state = 'working' and run_id = ${runId}), false) as mine,
             exists (select 1 from egret.sync_states
                     where sync_id = ${syncId} and waiting_run_id = ${runId}) as blocked
      from egret.run_slots
      where workspace_id = ${workspaceId} and seen_at > now() - make_interval(secs => ${FORGOTTEN_AFTER_S})`.execute(
      tx,
    );
    const { working = 0, ahead = 0, blocked = false, mine = false } = rows[0] ?? {};
    const isGranted = !blocked && (mine || working + ahead < limit);
    const state = isGranted ? "working" : blocked ? "blocked" : "waiting";
    const { parked } = await tx
      .insertInto("egret.run_slots")
      .values({ run_id: runId, workspace_id: workspaceId, state, parked: isGranted ? 0 : 1 })
      .onConflict((conflict) =>
        conflict.column("run_id").doUpdateSet({
          state,
          seen_at: sql<Date>`now()`,
          parked: isGranted ? sql`run_slots.parked` : sql`run_slots.parked + 1`,
        }),
      )
      .returning("parked")
      .executeTakeFirstOrThrow();
    if (isGranted) return { kind: "granted", parked };
    return blocked ? { kind: "blocked" } : { kind: "full", ahead };
  });
}

/** Says that these runs are still being worked on. */
export async function renewSlots(db: Kysely<Database>, runIds: readonly number[]): Promise<void> {
  await sql`update egret.run_slots set seen_at = now() where run_id = any(${[...runIds]}::bigint[])`.execute(
    db,
  );
}

/** Gives a place back: for good after the run's end, else until the run is taken up again. */
export async function leaveSlot(
  db: Kysely<Database>,
  { runId, hasEnded }: { runId: number; hasEnded: boolean },
): Promise<void> {
  if (hasEnded) await db.deleteFrom("egret.run_slots").where("run_id", "=", runId).execute();
  else {
    await db.updateTable("egret.run_slots").set({ state: "waiting" }).where("run_id", "=", runId).execute();
  }
}
