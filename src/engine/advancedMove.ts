/** Brings the state of a sync to where its run compares: moved whole between our Postgres and the source, or not at all. */
import { pipeline } from "node:stream/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import type { Source, Sync } from "../domain/configuration.ts";
import { RunFailure, Unavailable } from "../domain/errors.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { CompiledSync } from "../sources/source.ts";
import { relayState } from "./advancedRelay.ts";
import {
  inSource,
  readApplied,
  readHome,
  rowsTable,
  type SourceHome,
  syncsTable,
  toStateFailure,
  whyLost,
} from "./advancedState.ts";
import { stateTable } from "./scratch.ts";
import type { RunMode } from "./syncState.ts";
import { inTransaction } from "./transaction.ts";

/** What decides where a run compares. */
export interface Place {
  database: OpenDatabase;
  sync: Pick<Sync, "id" | "source" | "options">;
  compiled: CompiledSync;
  mode: RunMode;
  signal?: AbortSignal;
}

/**
 * Schema of the source in which this run compares; null: in our Postgres. There it compares as well where it needs the
 * whole snapshot anyway: to remember rows it does not send, or to hash them anew; and by timestamps it hardly has a state.
 */
function wantedSchema({ sync, compiled, mode }: Place): string | null {
  const isSkipped = mode.beginsAnew && sync.options.historical_sync_operation === "skip_current_records";
  if (compiled.windows !== null || mode.previousColumns !== null || isSkipped) return null;
  return sync.source.stateSchema ?? null;
}

/**
 * Finishes what earlier runs left to be written into the source, and moves the state where this run compares, if it is
 * not there. Called once the run has the sync, before its snapshot; safe to repeat after a crash anywhere.
 * @throws RunFailure when the source fails or does not let us write.
 */
export async function bringState(place: Place): Promise<SourceHome | null> {
  const { database, sync, mode, signal } = place;
  const { db } = database;
  const wanted = wantedSchema(place);
  let home = await readHome(db, sync.id);
  if (home !== null) {
    const lost = mode.lost ?? (await relayState(database, sync.source, sync.id, signal));
    if (lost !== null) {
      // Found by the relay alone, it was lost a moment ago: the next look says so.
      if (mode.lost === null) throw new Unavailable(`the state of sync ${sync.id} was lost: ${lost}`);
      await giveUp(database, sync.id, lost);
      home = null;
    } else if (home.schema !== wanted) {
      await moveHere(place, home);
      home = null;
    }
  }
  if (home === null && wanted !== null) await moveToSource(place, wanted);
  return wanted === null ? null : readHome(db, sync.id);
}

/** Where a dry run compares: it moves nothing, and leaves a state that cannot be used out of account. */
export async function findState(place: Place): Promise<SourceHome | null> {
  const { database, sync, compiled, mode } = place;
  const isSkipped = mode.beginsAnew && sync.options.historical_sync_operation === "skip_current_records";
  if (compiled.windows !== null || isSkipped || mode.lost !== null) return null;
  if ((await relayState(database, sync.source, sync.id)) !== null) return null;
  return readHome(database.db, sync.id);
}

/** Forgets a state that is not there any more; the rows that the destination has are sent again. */
async function giveUp(database: OpenDatabase, syncId: number, why: string): Promise<void> {
  await inTransaction(database.pool, async (client) => {
    await client.query("DELETE FROM egret.state_homes WHERE sync_id = $1", [syncId]);
    await client.query("DELETE FROM egret.state_journal WHERE sync_id = $1", [syncId]);
    await client.query("UPDATE egret.sync_states SET state_lost = $2 WHERE sync_id = $1", [
      syncId,
      `${new Date().toISOString().slice(0, 19)}Z: ${why}`,
    ]);
  });
}

/**
 * Our table becomes one in the source. It is ours until our commit, which comes last: a copy that a crash left in the
 * source has an epoch that nobody knows, and is written anew.
 */
async function moveToSource(place: Place, schema: string): Promise<void> {
  const { database, sync, signal } = place;
  const ours = stateTable(sync.id);
  await inTransaction(
    database.pool,
    async (client) => {
      const { rows } = await client.query<{ there: boolean; owner: string; epoch: string }>(
        `SELECT to_regclass($1) IS NOT NULL AS there, id::text AS owner, gen_random_uuid()::text AS epoch FROM egret.installation`,
        [ours],
      );
      const { there = false, owner = "", epoch = "" } = rows[0] ?? {};
      if (there) await client.query(`LOCK TABLE ${ours} IN EXCLUSIVE MODE`);
      await inSource(sync.source, async (target) => {
        await openHome(target, { source: sync.source, schema, syncId: sync.id, owner, epoch });
        const table = rowsTable(schema, sync.id);
        if (there) {
          const record = (await hasRecords(client, ours)) ? "record" : "NULL::text";
          const from = client.query(
            copyStreams.to(`COPY (SELECT key, hash, ${record} FROM ${ours}) TO STDOUT (FORMAT binary)`),
          );
          const into = target.query(
            copyStreams.from(`COPY ${table} (key, hash, record) FROM STDIN (FORMAT binary)`),
          );
          await pipeline(from, into, signal === undefined ? {} : { signal });
        }
        await target.query(`ALTER TABLE ${table} ADD PRIMARY KEY (key)`);
        await target.query("COMMIT");
        await target.query(`ANALYZE ${table}`);
        await sweep(client, target, { sourceId: sync.source.id, schema });
      });
      await client.query(
        "INSERT INTO egret.state_homes (sync_id, source_id, state_schema, epoch) VALUES ($1, $2, $3, $4)",
        [sync.id, sync.source.id, schema, epoch],
      );
      if (there) await client.query(`DROP TABLE ${ours}`);
    },
    signal,
  );
}

/** Makes the schema where it is missing, and an empty table for the state, in a transaction that stays open. */
async function openHome(
  target: pg.Client,
  home: { source: Source; schema: string; syncId: number; owner: string; epoch: string },
): Promise<void> {
  const { source, schema, syncId, owner, epoch } = home;
  const [syncs, table] = [syncsTable(schema), rowsTable(schema, syncId)];
  const { rows: who } = await target.query<{ role: string; database: string }>(
    "SELECT current_user AS role, current_database() AS database",
  );
  try {
    await target.query("BEGIN READ WRITE");
    await target.query("SELECT pg_advisory_xact_lock(hashtextextended('egret state ' || $1, 0))", [schema]);
    const { rows: found } = await target.query<{ schema: boolean; syncs: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS schema, to_regclass($2) IS NOT NULL AS syncs`,
      [schema, syncs],
    );
    // Asked for where it is there already, it would need a right that it needs no more.
    if (found[0]?.schema !== true) await target.query(`CREATE SCHEMA ${syncs.slice(0, -".syncs".length)}`);
    if (found[0]?.syncs !== true) {
      await target.query(
        `CREATE TABLE ${syncs} (sync_id bigint PRIMARY KEY, owner uuid NOT NULL, epoch uuid NOT NULL, applied bigint NOT NULL)`,
      );
    }
    const { rows } = await target.query<{ owner: string }>(
      `INSERT INTO ${syncs} AS s VALUES ($1, $2, $3, 0)
       ON CONFLICT (sync_id) DO UPDATE SET epoch = CASE WHEN s.owner = excluded.owner THEN excluded.epoch ELSE s.epoch END,
         applied = CASE WHEN s.owner = excluded.owner THEN 0 ELSE s.applied END RETURNING owner::text`,
      [syncId, owner, epoch],
    );
    if (rows[0]?.owner !== owner) {
      throw new RunFailure(
        "CONFIG_INVALID",
        `Schema ${schema} of source ${source.name} holds states of another Egret`,
        `Give this one a schema of its own: state_schema in egret.yaml. If the other one is gone, drop its schema: DROP SCHEMA ${syncs.slice(0, -".syncs".length)} CASCADE`,
      );
    }
    await target.query(`DROP TABLE IF EXISTS ${table}`);
    await target.query(
      `CREATE TABLE ${table} (key text COLLATE "C" NOT NULL, hash bigint NOT NULL, record text) WITH (fillfactor = 90)`,
    );
  } catch (error) {
    if (error instanceof RunFailure) throw error;
    throw toStateFailure(error, {
      source,
      schema,
      role: who[0]?.role ?? "",
      database: who[0]?.database ?? "",
    });
  }
}

async function hasRecords(client: pg.PoolClient | pg.Client, table: string): Promise<boolean> {
  const { rowCount } = await client.query(
    "SELECT FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'record' AND NOT attisdropped",
    [table],
  );
  return (rowCount ?? 0) > 0;
}

/** The source's table becomes ours, of which everything had been relayed; what it leaves in the source is then dropped. */
async function moveHere(place: Place, { syncId }: SourceHome): Promise<void> {
  const { database, sync, signal } = place;
  const ours = stateTable(syncId);
  const left = await inTransaction(
    database.pool,
    async (client) => {
      await client.query("SELECT FROM egret.state_homes WHERE sync_id = $1 FOR UPDATE", [syncId]);
      const home = await readHome(database.db, syncId);
      if (home === null) return null;
      const { rowCount: waiting } = await client.query(
        "SELECT FROM egret.state_journal WHERE sync_id = $1 LIMIT 1",
        [syncId],
      );
      if ((waiting ?? 0) > 0)
        throw new Unavailable(`rows of sync ${syncId} were accepted while its state moved`);
      await client.query(`DROP TABLE IF EXISTS ${ours}`);
      await inSource(sync.source, async (from) => {
        await from.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        const lost = whyLost(await readApplied(from, home), home);
        if (lost !== null) throw new Unavailable(`the state of sync ${syncId} was lost: ${lost}`);
        const { rows } = await from.query<{ any: boolean }>(
          `SELECT EXISTS (SELECT FROM ${home.table} WHERE record IS NOT NULL) AS any`,
        );
        const record = rows[0]?.any === true ? { column: ", record", definition: ", record text" } : null;
        await client.query(
          `CREATE TABLE ${ours} (key text COLLATE "C" NOT NULL, hash bigint NOT NULL${record?.definition ?? ""}) WITH (fillfactor = 90)`,
        );
        const columns = `key, hash${record?.column ?? ""}`;
        const out = from.query(
          copyStreams.to(`COPY (SELECT ${columns} FROM ${home.table}) TO STDOUT (FORMAT binary)`),
        );
        const into = client.query(copyStreams.from(`COPY ${ours} (${columns}) FROM STDIN (FORMAT binary)`));
        await pipeline(out, into, signal === undefined ? {} : { signal });
      });
      await client.query(`ALTER TABLE ${ours} ADD PRIMARY KEY (key)`);
      await client.query("DELETE FROM egret.state_homes WHERE sync_id = $1", [syncId]);
      return home;
    },
    signal,
  );
  if (left === null) return;
  // A table that stays stands for nothing: coming back, the state is written there anew.
  await inSource(sync.source, (client) => dropThere(client, left)).catch(() => undefined);
}

async function dropThere(
  client: pg.Client,
  { schema, syncId, epoch }: Pick<SourceHome, "schema" | "syncId" | "epoch">,
): Promise<void> {
  await client.query("BEGIN");
  const { rowCount } = await client.query(
    `DELETE FROM ${syncsTable(schema)} WHERE sync_id = $1 AND epoch = $2`,
    [syncId, epoch],
  );
  if ((rowCount ?? 0) > 0) await client.query(`DROP TABLE IF EXISTS ${rowsTable(schema, syncId)}`);
  await client.query("COMMIT");
}

/** Drops the states of syncs that were deleted: deleting them, nobody could ask the source. */
async function sweep(
  client: pg.PoolClient,
  target: pg.Client,
  { sourceId, schema }: { sourceId: number; schema: string },
): Promise<void> {
  const { rows } = await client.query<{ syncId: number; epoch: string }>(
    `SELECT sync_id AS "syncId", epoch::text FROM egret.state_homes h
     WHERE source_id = $1 AND state_schema = $2 AND NOT EXISTS (SELECT FROM egret.sync_states s WHERE s.sync_id = h.sync_id)`,
    [sourceId, schema],
  );
  for (const { syncId, epoch } of rows) {
    await dropThere(target, { schema, syncId, epoch });
    await client.query("DELETE FROM egret.state_homes WHERE sync_id = $1", [syncId]);
  }
}
