/** Carries what batches made of a state into the source, in order and each entry once, whatever crashes in between. */
import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";
import type { Source } from "../domain/configuration.ts";
import { RunFailure, toError, Unavailable } from "../domain/errors.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { EntryKind } from "./advancedJournal.ts";
import { inSource, readApplied, readHome, type SourceHome, syncsTable, whyLost } from "./advancedState.ts";
import { IN_DOUBT } from "./stateHome.ts";

/** Of one transaction in the source: as much is held in memory on its way. */
const CHUNK_KEYS = 20_000;
const CHUNK_BYTES = 8 << 20;
const CHUNK_ENTRIES = 1_000;

/** Between attempts of a run that is about to be committed, ms. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000];

/** Entries of one kind that follow each other. */
interface Chunk {
  kind: EntryKind;
  from: number;
  to: number;
}

/**
 * Relays everything that is noted for a sync; null once the source has all of it, else why its state is lost.
 * @throws RunFailure when the source does not answer.
 */
export async function relayState(
  database: OpenDatabase,
  source: Source,
  syncId: number,
  signal?: AbortSignal,
): Promise<string | null> {
  const home = await readHome(database.db, syncId);
  if (home === null) return null;
  if (home.sourceId !== source.id) return "the state of this sync stands in the source that it read before";
  if ((await nextChunk(database.pool, syncId)) === null) return null;
  return inSource(source, async (client) => {
    for (;;) {
      signal?.throwIfAborted();
      const { isMore, lost } = await relayChunk(database, client, syncId);
      if (!isMore) return lost;
    }
  });
}

/** The same for a run whose rows have all been sent: a source that is away for a moment is waited for. */
export async function relayBeforeCommit(
  database: OpenDatabase,
  source: Source,
  syncId: number,
  pausesMs: readonly number[] = PAUSES_MS,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      // A state that is lost is found so by the next run, which then sends everything.
      await relayState(database, source, syncId);
      return;
    } catch (error) {
      const pauseMs = pausesMs[attempt];
      if (!(error instanceof RunFailure)) throw error;
      if (pauseMs === undefined || error.runCode !== "SOURCE_CONNECTION_FAILED") throw notRemembered(error);
      await pause(pauseMs);
    }
  }
}

function notRemembered({ runCode, message, detail }: RunFailure): RunFailure {
  return new RunFailure(
    runCode,
    `What was accepted could not be written to the state in the source: ${message}`,
    `${detail === null ? "" : `${detail}. `}Nothing is lost: it is noted here, and the next run finishes it before it compares.`,
  );
}

/** What fails in our Postgres is no failure of the source. */
async function here<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    throw new Unavailable(`our Postgres broke off: ${toError(cause).message}`, { cause });
  });
}

async function relayChunk(
  { db, pool }: OpenDatabase,
  client: pg.Client,
  syncId: number,
): Promise<{ isMore: boolean; lost: string | null }> {
  const home = await here(readHome(db, syncId));
  const chunk = home === null ? null : await here(nextChunk(pool, syncId));
  if (home === null || chunk === null) return { isMore: false, lost: null };
  await client.query("BEGIN");
  if ((await readApplied(client, home)) === null) {
    await client.query("ROLLBACK");
    return { isMore: false, lost: whyLost(null, home) };
  }
  // Two relays of one sync take turns on its row, and the second sees how far the first came.
  const { rows } = await client.query<{ epoch: string; applied: string }>(
    `SELECT epoch::text, applied::text FROM ${syncsTable(home.schema)} WHERE sync_id = $1 FOR UPDATE`,
    [syncId],
  );
  const found = rows[0] === undefined ? null : { epoch: rows[0].epoch, applied: Number(rows[0].applied) };
  const now = (await here(readHome(db, syncId))) ?? home;
  const lost = whyLost(found, { ...now, relayed: home.relayed });
  if (lost !== null || found === null) {
    await client.query("ROLLBACK");
    return { isMore: false, lost };
  }
  let { applied } = found;
  // What it has of this chunk, it has from a relay that died before it could say so: the rest comes as the next one.
  if (applied < chunk.from) {
    await apply(pool, client, home, chunk);
    applied = chunk.to;
    await client.query(`UPDATE ${syncsTable(home.schema)} SET applied = $2 WHERE sync_id = $1`, [
      syncId,
      applied,
    ]);
  }
  await client.query("COMMIT");
  await here(
    pool.query(
      `WITH done AS (DELETE FROM egret.state_journal WHERE sync_id = $1 AND seq <= $2)
       UPDATE egret.state_homes SET relayed_seq = greatest(relayed_seq, $2) WHERE sync_id = $1`,
      [syncId, applied],
    ),
  );
  return { isMore: true, lost: null };
}

async function nextChunk(pool: pg.Pool, syncId: number): Promise<Chunk | null> {
  const { rows } = await pool.query<{ seq: number; kind: EntryKind; keys: number; bytes: number }>(
    `SELECT seq, kind, cardinality(keys) AS keys, pg_column_size(keys) + coalesce(pg_column_size(records), 0) AS bytes
     FROM egret.state_journal WHERE sync_id = $1 ORDER BY seq LIMIT ${CHUNK_ENTRIES}`,
    [syncId],
  );
  const [first] = rows;
  if (first === undefined) return null;
  let [to, keys, bytes] = [first.seq, first.keys, first.bytes];
  for (const row of rows.slice(1)) {
    keys += row.keys;
    bytes += row.bytes;
    if (row.kind !== first.kind || keys > CHUNK_KEYS || bytes > CHUNK_BYTES) break;
    to = row.seq;
  }
  return { kind: first.kind, from: first.seq, to };
}

/** Arrays go from one server to the other as the texts that they are: of rows, Node sees nothing. */
async function apply(pool: pg.Pool, client: pg.Client, home: SourceHome, chunk: Chunk): Promise<void> {
  const { kind, from, to } = chunk;
  if (kind === "clear") {
    await client.query(`DELETE FROM ${home.table}`);
    return;
  }
  const reading = pool.query<[string | null, string | null, string | null]>({
    // Of a key that comes several times, the last entry counts. Sorted, they meet the index in its order.
    text: `SELECT array_agg(key)::text, array_agg(hash)::text, array_agg(record)::text
      FROM (SELECT DISTINCT ON (k.key COLLATE "C") k.key, k.hash, k.record
            FROM egret.state_journal j CROSS JOIN LATERAL unnest(j.keys, j.hashes, j.records) AS k (key, hash, record)
            WHERE j.sync_id = $1 AND j.seq BETWEEN $2 AND $3 ORDER BY k.key COLLATE "C", j.seq DESC) AS e`,
    values: [home.syncId, from, to],
    rowMode: "array",
  });
  const { rows } = await here(reading);
  const [keys = null, hashes = null, records = null] = rows[0] ?? [];
  if (keys === null) return;
  const told = "unnest($1::text[], $2::bigint[], $3::text[]) AS k (key, hash, record)";
  const same = 't.key = (k.key COLLATE "C")';
  const statements: Record<Exclude<EntryKind, "clear">, string> = {
    remember: `INSERT INTO ${home.table} AS t (key, hash, record) SELECT key, hash, record FROM ${told}
      ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, record = excluded.record`,
    forget: `DELETE FROM ${home.table} AS t USING ${told} WHERE ${same}`,
    doubt: `UPDATE ${home.table} AS t SET hash = ${IN_DOUBT} FROM ${told} WHERE ${same}`,
    doubt_same: `UPDATE ${home.table} AS t SET hash = ${IN_DOUBT} FROM ${told} WHERE ${same} AND t.hash = k.hash`,
  };
  await client.query(statements[kind], [keys, hashes, records]);
}
