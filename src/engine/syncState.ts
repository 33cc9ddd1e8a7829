/** What a sync's destination holds as far as we know: key -> hash, under the mapping with which it was accepted. */
import { type Kysely, sql } from "kysely";
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { CompiledSync } from "../sources/source.ts";
import { lookAtState } from "./advancedState.ts";
import { type FullSyncReason, isRestart, mappingReasons, parseFingerprint } from "./fullSync.ts";
import { OPERATION_RULES } from "./operations.ts";
import type { PlannedState } from "./stateHome.ts";

/** How a run goes on from what was accepted before. */
export interface RunMode {
  /** Whether every valid row is sent, changed or not; of an append: whether it begins anew. */
  fullSync: boolean;
  reasons: FullSyncReason[];
  /** Whether the state stands for nothing that this run could go on from: it is emptied with the plan. */
  beginsAnew: boolean;
  /** Columns that the state's hashes are made of, where a mapping was removed since; else null. */
  previousColumns: readonly string[] | null;
  /** Up to where rows were sent, for a sync that finds new rows by timestamps; null before its first committed run. */
  mark: string | null;
  /** Whether the state was made by key and is from now on read by timestamps: what it holds counts as sent. */
  adoptsState: boolean;
  /** Why the state in the source cannot be gone on from; null when it can, and when there is none. */
  lost: string | null;
}

/**
 * Whether this run must send everything, why, and what it compares with (behaviour.md 2.7).
 * @throws RunFailure CONFIG_INVALID when a full sync of an append is asked for: each row of it is sent once.
 */
export async function resolveRun(
  db: Kysely<Database>,
  sync: Pick<Sync, "id" | "name" | "operation" | "source">,
  compiled: CompiledSync,
  force: boolean,
): Promise<RunMode> {
  const isAppend = sync.operation === "append";
  if (force && isAppend) {
    throw new RunFailure(
      "CONFIG_INVALID",
      `A full sync of ${sync.name} was asked for, and an append sends each row once`,
      "Trigger it without force_full_sync",
    );
  }
  const state = await db
    .selectFrom("egret.sync_states")
    .select(["fingerprint", "high_water_mark", "committed_run_id"])
    .where("sync_id", "=", sync.id)
    .executeTakeFirst();
  const stored = state?.fingerprint ?? null;
  const { rows, lost } = await lookAtState(db, sync);
  const mode: RunMode = {
    fullSync: false,
    reasons: [],
    beginsAnew: false,
    previousColumns: null,
    mark: null,
    adoptsState: false,
    lost,
  };
  // A first run that failed before anything was accepted leaves nothing to compare with.
  const isFirst = stored === null || (rows === false && (state?.committed_run_id ?? null) === null);
  const before = stored === null ? null : parseFingerprint(stored);
  const now = compiled.fingerprint;
  if (isFirst) mode.reasons.push("first_run");
  else if (rows === null && now.highWaterMark === null) mode.reasons.push("state_missing");
  else mode.reasons.push(...mappingReasons(before, now));
  if (force) mode.reasons.push("user_requested");
  mode.beginsAnew = isFirst || mode.reasons.some((reason) => isRestart(reason, before, now));
  // Events that were sent stay sent, whatever became of their fields.
  if (isAppend && !mode.beginsAnew) mode.reasons = [];
  mode.fullSync = mode.reasons.length > 0;
  if (mode.beginsAnew || before === null) return mode;
  if (!mode.fullSync && OPERATION_RULES[sync.operation].sendsChanged) {
    const isSame = before.columns.join("\n") === now.columns.join("\n");
    mode.previousColumns = isSame ? null : before.columns;
  }
  if (mode.previousColumns !== null && compiled.rehashSql(mode.previousColumns) === null) {
    // The column went with its mapping: what the rows were accepted with cannot be computed any more.
    return { ...mode, previousColumns: null, fullSync: true, reasons: ["mapping_changed"] };
  }
  if (now.highWaterMark !== null) {
    mode.mark = before.highWaterMark === now.highWaterMark ? (state?.high_water_mark ?? null) : null;
    mode.adoptsState = mode.mark === null && before.highWaterMark === null;
  }
  return mode;
}

/** Empties what was remembered for a destination, or under a key, that it says nothing about any more. */
export async function beginAnew(client: pg.PoolClient, syncId: number, state: PlannedState): Promise<void> {
  await state.clear(client);
  await client.query("DELETE FROM egret.retry_keys WHERE sync_id = $1", [syncId]);
  await client.query(
    "UPDATE egret.sync_states SET high_water_mark = NULL, committed_run_id = NULL WHERE sync_id = $1",
    [syncId],
  );
}

/** Makes this mapping the one that the state stands for. */
export async function claimState(
  client: pg.PoolClient,
  syncId: number,
  { fingerprint }: CompiledSync,
): Promise<void> {
  await client.query(
    `INSERT INTO egret.sync_states (sync_id, fingerprint) VALUES ($1, $2)
     ON CONFLICT (sync_id) DO UPDATE SET fingerprint = excluded.fingerprint`,
    [syncId, JSON.stringify(fingerprint)],
  );
}

/**
 * Writes down the mapping that the state now stands for, and how far rows were sent, at the end of a run that sent
 * everything it planned. A run that failed must not do so: rows that it did not send still stand for what was before.
 */
export async function commitRun(db: Kysely<Database>, syncId: number, runId: number): Promise<void> {
  await sql`
    update egret.sync_states as state
    set fingerprint = coalesce(plan.fingerprint, state.fingerprint), high_water_mark = plan.high_water_mark, committed_run_id = plan.run_id
    from egret.plans as plan where plan.run_id = ${runId} and state.sync_id = ${syncId}`.execute(db);
}
