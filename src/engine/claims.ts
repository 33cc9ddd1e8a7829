/** Which run has a sync: a trigger claims it, waits for it or is skipped; the run's end frees it. */
import { type Kysely, sql, type Transaction } from "kysely";
import type { Database } from "../projections/database.ts";
import { stageTable } from "./scratch.ts";

/** A trigger command, by the id under which its sender may repeat it. */
export interface Trigger {
  workspaceId: number;
  commandId: string;
  syncId: number;
  /**
   * While a run is under way: `refuse` it, note it as a `skipped` run, let one run `wait` for the end, or `drop` it
   * without a trace. `wait_alone` waits unless another run does already. `refuse` when left out.
   */
  onBusy?: "refuse" | "skip" | "wait" | "wait_alone" | "drop";
}

/**
 * The run that a trigger caused, now or the first time it came: one that begins or waits, or a skipped one. Else the
 * run that is in its way.
 */
export type TriggerAnswer =
  | { kind: "accepted"; runId: number; duplicate: boolean }
  | { kind: "skipped"; runId: number; runningRunId: number; duplicate: boolean }
  | { kind: "busy"; runId: number }
  | { kind: "dropped"; runId: number };

/** Accepts a trigger once: the command and what became of it are written together, or neither is. */
export function acceptTrigger(db: Kysely<Database>, trigger: Trigger): Promise<TriggerAnswer>;
/** With `isPaused` it causes no run that it did not cause before: its sync is paused. */
export function acceptTrigger(
  db: Kysely<Database>,
  trigger: Trigger & { isPaused: boolean },
): Promise<TriggerAnswer | { kind: "paused" }>;
export async function acceptTrigger(
  db: Kysely<Database>,
  trigger: Trigger & { isPaused?: boolean },
): Promise<TriggerAnswer | { kind: "paused" }> {
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
      .select(["active_run_id", "waiting_run_id"])
      .where("sync_id", "=", syncId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    const known = await tx
      .selectFrom("egret.accepted_commands")
      .select(["run_id", "skipped_for"])
      .where("workspace_id", "=", workspaceId)
      .where("command_id", "=", commandId)
      .executeTakeFirst();
    if (known !== undefined) return answerOf(known.run_id, known.skipped_for, true);
    if (trigger.isPaused === true) return { kind: "paused" };
    const running = state.active_run_id;
    if (running === null) {
      const runId = await newRun(tx, trigger, null);
      await tx
        .updateTable("egret.sync_states")
        .set({ active_run_id: runId, last_began_at: sql<Date>`now()` })
        .where("sync_id", "=", syncId)
        .execute();
      return answerOf(runId, null, false);
    }
    return answerBusy(tx, trigger, { running, waiting: state.waiting_run_id });
  });
}

function answerOf(runId: number, runningRunId: number | null, duplicate: boolean): TriggerAnswer {
  if (runningRunId === null) return { kind: "accepted", runId, duplicate };
  return { kind: "skipped", runId, runningRunId, duplicate };
}

async function answerBusy(
  tx: Transaction<Database>,
  trigger: Trigger,
  { running, waiting }: { running: number; waiting: number | null },
): Promise<TriggerAnswer> {
  switch (trigger.onBusy ?? "refuse") {
    case "refuse":
      return { kind: "busy", runId: running };
    case "drop":
      return { kind: "dropped", runId: running };
    case "skip":
      return answerOf(await newRun(tx, trigger, running), running, false);
    case "wait":
    case "wait_alone":
      if (waiting !== null) {
        if (trigger.onBusy === "wait_alone") return { kind: "busy", runId: waiting };
        await remember(tx, trigger, { runId: waiting, skippedFor: null });
        return { kind: "accepted", runId: waiting, duplicate: true };
      }
      const runId = await newRun(tx, trigger, null);
      await tx
        .updateTable("egret.sync_states")
        .set({ waiting_run_id: runId })
        .where("sync_id", "=", trigger.syncId)
        .execute();
      return answerOf(runId, null, false);
  }
}

async function newRun(
  tx: Transaction<Database>,
  trigger: Trigger,
  skippedFor: number | null,
): Promise<number> {
  const { rows } = await sql<{ id: number }>`select nextval('egret.run_ids') as id`.execute(tx);
  const runId = rows[0]?.id ?? 0;
  await remember(tx, trigger, { runId, skippedFor });
  return runId;
}

async function remember(
  tx: Transaction<Database>,
  { workspaceId, commandId }: Trigger,
  { runId, skippedFor }: { runId: number; skippedFor: number | null },
): Promise<void> {
  await tx
    .insertInto("egret.accepted_commands")
    .values({ workspace_id: workspaceId, command_id: commandId, run_id: runId, skipped_for: skippedFor })
    .execute();
}

/**
 * Frees the sync from an ended run, for the one that waits if there is one, and drops what only that run needed; doing
 * it twice, or late, changes nothing.
 */
export async function releaseSync(db: Kysely<Database>, syncId: number, runId: number): Promise<void> {
  await sql`drop table if exists ${sql.raw(stageTable(runId))}`.execute(db);
  await dropBatches(db, runId);
  await sql`
    update egret.sync_states
    set active_run_id = waiting_run_id, waiting_run_id = null, last_ended_at = now(),
        last_began_at = case when waiting_run_id is null then last_began_at else now() end
    where sync_id = ${syncId} and active_run_id = ${runId}`.execute(db);
  // One that was cancelled while it waited.
  await sql`
    update egret.sync_states set waiting_run_id = null
    where sync_id = ${syncId} and waiting_run_id = ${runId}`.execute(db);
  // A batch that was being split has left halves meanwhile; from now on none is split any more.
  await dropBatches(db, runId);
}

/** A batch left open can no longer be accepted: a later run may already have sent something newer for its keys. */
async function dropBatches(db: Kysely<Database>, runId: number): Promise<void> {
  await sql`
    update egret.batches
    set outcome = 'dropped', settled_at = now(), body = null, keys = null, hashes = null, row_records = null,
        source_records = null, request = null, row_errors = null, rejected_records = 0
    where run_id = ${runId} and outcome is null`.execute(db);
}
