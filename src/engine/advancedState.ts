/** States that stand in their source: which they are, and whether what the source has is still what we wrote there. */
import { type Kysely, sql } from "kysely";
import pg from "pg";
import type { Source, Sync } from "../domain/configuration.ts";
import { RunFailure, Unavailable } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import { endQuietly, openSession } from "../sources/postgres.ts";
import { toSourceFailure } from "../sources/postgresErrors.ts";
import type { SourceSnapshot } from "../sources/source.ts";
import { CopyBinaryReader } from "./copyBinary.ts";
import { stateTable } from "./scratch.ts";

/** The state of a sync in its source. */
export interface SourceHome {
  syncId: number;
  sourceId: number;
  schema: string;
  /** Its table, as it stands in SQL: (key, hash, record). */
  table: string;
  epoch: string;
  /** The newest entry that the source is known to have, and the newest there is. */
  relayed: number;
  last: number;
}

/** What the source itself says of a state. */
export interface Applied {
  epoch: string;
  applied: number;
}

/** Table of the syncs whose states stand in a schema of a source. */
export function syncsTable(schema: string): string {
  return `${pg.escapeIdentifier(schema)}.syncs`;
}

/** Table of one state there. */
export function rowsTable(schema: string, syncId: number): string {
  return `${pg.escapeIdentifier(schema)}.rows_${syncId}`;
}

/** Where the state of a sync stands; null: in our Postgres, or nowhere. */
export async function readHome(db: Kysely<Database>, syncId: number): Promise<SourceHome | null> {
  const { rows } = await sql<Omit<SourceHome, "table" | "syncId">>`
    select source_id as "sourceId", state_schema as schema, epoch::text, relayed_seq as relayed, last_seq as last
    from egret.state_homes where sync_id = ${syncId}`.execute(db);
  const [home] = rows;
  return home === undefined ? null : { ...home, syncId, table: rowsTable(home.schema, syncId) };
}

/** Runs work on a connection to the source that may write, and ends it. @throws RunFailure when the source fails. */
export async function inSource<T>(source: Source, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await openSession(source, {}, { writes: true });
  try {
    return await work(client);
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    throw toSourceFailure(source.name, error);
  } finally {
    await endQuietly(client);
  }
}

/** What the source says of a state; null when it has none. */
export async function readApplied(client: pg.Client, home: SourceHome): Promise<Applied | null> {
  const { rows: there } = await client.query<{ there: boolean }>(
    "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AS there",
    [syncsTable(home.schema), home.table],
  );
  if (there[0]?.there !== true) return null;
  const { rows } = await client.query<{ epoch: string; applied: string }>(
    `SELECT epoch::text, applied::text FROM ${syncsTable(home.schema)} WHERE sync_id = $1`,
    [home.syncId],
  );
  return rows[0] === undefined ? null : { epoch: rows[0].epoch, applied: Number(rows[0].applied) };
}

/** Why a state in the source stands for nothing any more; null when it is the one that we wrote. */
export function whyLost(found: Applied | null, home: SourceHome): string | null {
  const where = `schema ${home.schema} of the source`;
  if (found === null) return `the state of this sync is not in ${where} any more`;
  if (found.epoch !== home.epoch)
    return `${where} holds a state that was not written by this Egret, or an older one`;
  if (found.applied < home.relayed)
    return `${where} is older than what was written to it: the source was restored from a backup, or is a copy`;
  if (found.applied > home.last)
    return `${where} is newer than what we know of it: our own Postgres was restored from a backup`;
  return null;
}

/** What a sync's destination has accepted: `rows` tells whether anything is remembered, null when there is no state. */
export interface FoundState {
  rows: boolean | null;
  /** Why the state that should be in the source cannot be gone on from. */
  lost: string | null;
}

/** @throws RunFailure when the state stands in a source that does not answer. */
export async function lookAtState(
  db: Kysely<Database>,
  sync: Pick<Sync, "id" | "source">,
): Promise<FoundState> {
  const home = await readHome(db, sync.id);
  if (home === null) return { rows: await hasRowsHere(db, sync.id), lost: null };
  if (home.sourceId !== sync.source.id)
    return { rows: null, lost: "the state of this sync stands in the source that it read before" };
  const { applied, hasRows } = await inSource(sync.source, async (client) => {
    const found = await readApplied(client, home);
    if (found === null) return { applied: null, hasRows: false };
    const { rows } = await client.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${home.table}) AS any`);
    return { applied: found, hasRows: rows[0]?.any === true };
  });
  // Entries are made and relayed while we look: what we knew before bounds it below, what we know after, above.
  const after = await readHome(db, sync.id);
  const lost = whyLost(applied, { ...home, last: after?.last ?? home.last });
  if (lost !== null) return { rows: null, lost };
  const { rows } = await sql<{ any: boolean }>`
    select exists (select from egret.state_journal where sync_id = ${sync.id} and kind = 'remember') as any`.execute(
    db,
  );
  return { rows: hasRows || rows[0]?.any === true, lost: null };
}

async function hasRowsHere(db: Kysely<Database>, syncId: number): Promise<boolean | null> {
  const name = stateTable(syncId);
  const { rows } = await sql<{ there: boolean }>`select to_regclass(${name}) is not null as there`.execute(
    db,
  );
  if (rows[0]?.there !== true) return null;
  const found = await sql<{ any: boolean }>`select exists (select from ${sql.raw(name)}) as any`.execute(db);
  return found.rows[0]?.any === true;
}

/**
 * Makes sure that a snapshot of the source shows the state with everything that was relayed to it.
 * @throws Unavailable when it does not: look at the state again.
 */
export async function checkRelayed(
  client: pg.PoolClient,
  snapshot: SourceSnapshot,
  home: SourceHome,
): Promise<void> {
  const { rows } = await client.query<{ relayed: number }>(
    "SELECT relayed_seq AS relayed FROM egret.state_homes WHERE sync_id = $1",
    [home.syncId],
  );
  const reader = new CopyBinaryReader();
  let found: Applied | null = null;
  const stream = await snapshot.copyOut(
    `SELECT epoch::text, applied::text FROM ${syncsTable(home.schema)} WHERE sync_id = ${home.syncId}`,
  );
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    reader.push(chunk, ([epoch, applied]) => {
      found = { epoch: String(epoch), applied: Number(String(applied)) };
    });
  }
  // What was relayed after this snapshot was opened is not in it; a run's own is: it relays before.
  const why = whyLost(found, {
    ...home,
    relayed: Math.min(home.relayed, rows[0]?.relayed ?? 0),
    last: Infinity,
  });
  if (why !== null)
    throw new Unavailable(`the state of sync ${home.syncId} has to be looked at again: ${why}`);
}

/** What is said to somebody whose role may not keep a state. */
export function toStateFailure(
  thrown: unknown,
  { source, schema, role, database }: { source: Source; schema: string; role: string; database: string },
): RunFailure {
  const code = (thrown as { code?: string } | null)?.code;
  const [quoted, to] = [pg.escapeIdentifier(schema), pg.escapeIdentifier(role)];
  if (code === "42501") {
    return new RunFailure(
      "CONFIG_INVALID",
      `Role ${role} may not write to schema ${schema} of source ${source.name}, which sync_engine: advanced needs`,
      `Run in database ${database}, as its owner: CREATE SCHEMA IF NOT EXISTS ${quoted}; GRANT USAGE, CREATE ON SCHEMA ${quoted} TO ${to}; or set sync_engine: basic`,
    );
  }
  if (code === "25006") {
    return new RunFailure(
      "CONFIG_INVALID",
      `Source ${source.name} takes no writes (a standby?), and sync_engine: advanced keeps state in it`,
      "Name the primary server in the source's url, or set sync_engine: basic",
    );
  }
  return toSourceFailure(source.name, thrown);
}
