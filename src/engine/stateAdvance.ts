/** What the outcomes of batches make of a sync's state; each function runs in the transaction that settles them. */
import type pg from "pg";
import { journalState } from "./advancedJournal.ts";
import { type BatchInHand, named, type SettledState } from "./stateHome.ts";
import { REFUSED, ROWS, TAKEN, tableState } from "./stateHomeTable.ts";
import { retryLater } from "./windows.ts";

function bySync(batches: readonly BatchInHand[]): Map<number, BatchInHand[]> {
  return Map.groupBy(batches, (each) => each.sync_id);
}

function stateOf(syncId: number, batches: readonly BatchInHand[]): SettledState {
  return batches[0]?.isElsewhere === true ? journalState : tableState(syncId);
}

/** Two settlers that write for several syncs never wait for each other: those whose states stand in sources go in order. */
export async function lockJournals(client: pg.PoolClient, batches: readonly BatchInHand[]): Promise<void> {
  const elsewhere = batches.filter((each) => each.isElsewhere).map((each) => each.sync_id);
  if (elsewhere.length === 0) return;
  await client.query(
    "SELECT FROM egret.state_homes WHERE sync_id = ANY ($1::bigint[]) ORDER BY sync_id FOR UPDATE",
    [elsewhere],
  );
}

/** The destination took the rows: what they are now is what it holds, and what was deleted is gone. */
export async function acceptRows(client: pg.PoolClient, accepted: readonly BatchInHand[]): Promise<void> {
  for (const [syncId, ofSync] of bySync(accepted)) {
    const state = stateOf(syncId, ofSync);
    const sent = ofSync.filter((each) => !each.forgets);
    const deleted = ofSync.filter((each) => each.forgets);
    if (sent.length > 0) await state.remember(client, sent);
    if (deleted.length > 0) await state.forget(client, deleted);
  }
  for (const [syncId, ofSync] of bySync(await byTimestamps(client, accepted))) {
    await client.query(`DELETE FROM egret.retry_keys r USING ${TAKEN} AND r.key = k.key AND r.sync_id = $3`, [
      ...named(ofSync),
      syncId,
    ]);
  }
}

/**
 * The destination refused the rows. Where a mark passes them they are noted; where a full sync sent rows that are as
 * they were accepted, only this lets the next run find them.
 */
export async function rejectRows(
  client: pg.PoolClient,
  rejected: readonly BatchInHand[],
  { only }: { only?: "refused" } = {},
): Promise<void> {
  const refused = only === "refused" ? REFUSED : ROWS;
  const renewed = rejected.filter((each) => each.operation === "upsert" || each.operation === "update");
  for (const [syncId, ofSync] of bySync(renewed)) {
    await stateOf(syncId, ofSync).doubtSame(client, ofSync, only ?? "all");
  }
  for (const [syncId, ofSync] of bySync(await byTimestamps(client, rejected))) {
    const runId = Math.max(...ofSync.map((each) => each.run_id));
    await retryLater(client, { syncId, runId }, `SELECT k.key FROM ${refused}`, named(ofSync));
  }
}

/**
 * Nobody knows whether the destination took the rows: those that it held before are sent again, even if the source
 * goes back to what it then was, and a key whose delete is in doubt is sent again if it comes back.
 */
export async function doubtRows(client: pg.PoolClient, unknown: readonly BatchInHand[]): Promise<void> {
  const held = unknown.filter(
    ({ operation, forgets }) => forgets || operation === "upsert" || operation === "update",
  );
  for (const [syncId, ofSync] of bySync(held)) {
    await stateOf(syncId, ofSync).doubt(client, ofSync);
  }
}

/** Those batches whose runs find new rows by timestamps; costs nothing where there is no append. */
async function byTimestamps(
  client: pg.PoolClient,
  batches: readonly BatchInHand[],
): Promise<readonly BatchInHand[]> {
  const appends = batches.filter((each) => each.operation === "append");
  if (appends.length === 0) return [];
  const { rows } = await client.query<{ run_id: number }>(
    "SELECT run_id FROM egret.plans WHERE run_id = ANY ($1::bigint[]) AND high_water_mark IS NOT NULL",
    [[...new Set(appends.map((each) => each.run_id))]],
  );
  const runs = new Set(rows.map((row) => row.run_id));
  return appends.filter((each) => runs.has(each.run_id));
}
