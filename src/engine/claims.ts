/** Which run has a sync: a trigger claims it, the run's end frees it. */
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";
import { stageTable } from "./scratch.ts";

/** A trigger command, by the id under which its sender may repeat it. */
export interface Trigger {
  workspaceId: number;
  commandId: string;
  syncId: number;
}

/** The run that a trigger caused, now or the first time it came; or the run that is in its way. */
export type TriggerAnswer =
  | { kind: "accepted"; runId: number; duplicate: boolean }
  | { kind: "busy"; runId: number };

/** Accepts a trigger once: the command and the claim on its sync are written together, or neither is. */
export async function acceptTrigger(db: Kysely<Database>, trigger: Trigger): Promise<TriggerAnswer> {
  const { workspaceId, commandId, syncId } = trigger;
  return db.transaction().execute(async (tx) => {
    await tx
      .insertInto("egret.sync_states")
      .values({ sync_id: syncId, active_run_id: null, fingerprint: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    // The row lock makes triggers of one sync take turns, copies of the same command among them.
    const state = await tx
      .selectFrom("egret.sync_states")
      .select("active_run_id")
      .where("sync_id", "=", syncId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    const known = await tx
      .selectFrom("egret.accepted_commands")
      .select("run_id")
      .where("workspace_id", "=", workspaceId)
      .where("command_id", "=", commandId)
      .executeTakeFirst();
    if (known !== undefined) return { kind: "accepted", runId: known.run_id, duplicate: true };
    if (state.active_run_id !== null) return { kind: "busy", runId: state.active_run_id };
    const { rows } = await sql<{ id: number }>`select nextval('egret.run_ids') as id`.execute(tx);
    const runId = rows[0]?.id ?? 0;
    await tx
      .insertInto("egret.accepted_commands")
      .values({ workspace_id: workspaceId, command_id: commandId, run_id: runId })
      .execute();
    await tx
      .updateTable("egret.sync_states")
      .set({ active_run_id: runId })
      .where("sync_id", "=", syncId)
      .execute();
    return { kind: "accepted", runId, duplicate: false };
  });
}

/** Frees the sync from an ended run and drops what only that run needed; doing it twice, or late, changes nothing. */
export async function releaseSync(db: Kysely<Database>, syncId: number, runId: number): Promise<void> {
  await sql`drop table if exists ${sql.raw(stageTable(runId))}`.execute(db);
  // A batch left open can no longer be accepted: a later run may already have sent something newer for its keys.
  await sql`
    update egret.batches
    set outcome = coalesce(outcome, 'dropped'), settled_at = coalesce(settled_at, now()), body = null, keys = null, hashes = null
    where run_id = ${runId} and (outcome is null or body is not null)`.execute(db);
  await db
    .updateTable("egret.sync_states")
    .set({ active_run_id: null })
    .where("sync_id", "=", syncId)
    .where("active_run_id", "=", runId)
    .execute();
}
