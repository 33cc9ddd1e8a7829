/** What a sync's destination holds as far as we know: key -> hash, under the mapping with which it was accepted. */
import { type Kysely, sql } from "kysely";
import type { Sync } from "../domain/configuration.ts";
import type { Database } from "../projections/database.ts";
import type { CompiledSync } from "../sources/source.ts";
import { stateTable } from "./scratch.ts";

/** Why a run sends every valid row, changed or not. Source: ours; behaviour.md 2.7. */
export type FullSyncReason = "first_run" | "user_requested" | "mapping_changed" | "state_missing";

/** Makes the sync's state table if it is not there; called inside the transaction that needs it. */
export function createStateTableSql(syncId: number): string {
  // Room on each page lets a changed hash be updated in place, without touching the index.
  return `CREATE TABLE IF NOT EXISTS ${stateTable(syncId)}
    (key text COLLATE "C" PRIMARY KEY, hash bigint NOT NULL) WITH (fillfactor = 90)`;
}

async function hasRows(db: Kysely<Database>, syncId: number): Promise<boolean | null> {
  const name = stateTable(syncId);
  const { rows } = await sql<{ there: boolean }>`select to_regclass(${name}) is not null as there`.execute(
    db,
  );
  if (rows[0]?.there !== true) return null;
  const found = await sql<{ any: boolean }>`select exists (select from ${sql.raw(name)}) as any`.execute(db);
  return found.rows[0]?.any === true;
}

/** Whether this run must send everything, and why. */
export async function resolveFullSync(
  db: Kysely<Database>,
  sync: Pick<Sync, "id">,
  compiled: CompiledSync,
  force: boolean,
): Promise<{ fullSync: boolean; reasons: FullSyncReason[] }> {
  const state = await db
    .selectFrom("egret.sync_states")
    .select("fingerprint")
    .where("sync_id", "=", sync.id)
    .executeTakeFirst();
  const fingerprint = state?.fingerprint ?? null;
  const rows = await hasRows(db, sync.id);
  const reasons: FullSyncReason[] = [];
  // A first run that failed before anything was accepted leaves nothing to compare with.
  if (fingerprint === null || rows === false) reasons.push("first_run");
  else if (rows === null) reasons.push("state_missing");
  else if (fingerprint !== compiled.fingerprint) reasons.push("mapping_changed");
  if (force) reasons.push("user_requested");
  return { fullSync: reasons.length > 0, reasons };
}

/**
 * Writes down the mapping that the state now stands for, at the end of a run that sent everything it planned. A run
 * that failed must not do so: rows that it did not send still stand for the mapping before.
 */
export async function commitRun(db: Kysely<Database>, syncId: number, compiled: CompiledSync): Promise<void> {
  await db
    .insertInto("egret.sync_states")
    .values({ sync_id: syncId, active_run_id: null, fingerprint: compiled.fingerprint })
    .onConflict((conflict) => conflict.column("sync_id").doUpdateSet({ fingerprint: compiled.fingerprint }))
    .execute();
}
