/** Writes accepted rows into a state's table, in the way that is quickest for what they mostly are: new ones or known ones. */
import type pg from "pg";
import { toError } from "../domain/errors.ts";

/** A state's table, and the accepted rows. */
export interface RowsToRemember {
  state: string;
  /** Whether the state keeps the records. */
  hasRecords: boolean;
  /** The batches of the rows by $1 and $2, as b. */
  batches: string;
  /** The rows to remember, as k (key, hash, record). */
  taken: string;
  values: [number[], number[]];
}

interface Look {
  batches: number;
  known: number;
}

const UNIQUE_VIOLATION = "23505";

/**
 * Remembers the rows, in a transaction of the caller's. An upsert takes twice as long as an insert, and a half longer
 * than an update, so a look at one key of each batch decides what is tried first; whatever that finds, the result is
 * that of the upsert. Keys are taken in their order, so that two who write for one sync never wait for each other.
 */
export async function rememberRows(client: pg.PoolClient, rows: RowsToRemember): Promise<void> {
  const { state, batches, values } = rows;
  // The settings are for what follows: a few thousand keys are looked up, the planner would rather read all known ones.
  const { rows: looks } = await client.query<Look>(
    `SELECT count(*) AS batches, set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       count((SELECT t.hash FROM ${state} t WHERE t.key = b.keys[1] LIMIT 1)) AS known
     FROM ${batches}`,
    values,
  );
  const look = looks[0] ?? { batches: 0, known: 0 };
  if (look.known === 0 && (await insertNew(client, rows))) return;
  if (look.known > 0 && look.known === look.batches) await updateKnown(client, rows);
  else await upsert(client, rows);
}

/** False, with nothing written, when some of them were known. */
async function insertNew(
  client: pg.PoolClient,
  { state, hasRecords, taken, values }: RowsToRemember,
): Promise<boolean> {
  const record = hasRecords ? [", record", ", k.record"] : ["", ""];
  await client.query("SAVEPOINT egret_new");
  try {
    await client.query(
      `INSERT INTO ${state} (key, hash${record[0]}) SELECT k.key, k.hash${record[1]} FROM ${taken}
       ORDER BY k.key COLLATE "C"`,
      values,
    );
  } catch (thrown) {
    if ((toError(thrown) as { code?: string }).code !== UNIQUE_VIOLATION) throw thrown;
    await client.query("ROLLBACK TO SAVEPOINT egret_new");
    return false;
  }
  await client.query("RELEASE SAVEPOINT egret_new");
  return true;
}

async function updateKnown(client: pg.PoolClient, rows: RowsToRemember): Promise<void> {
  const { state, hasRecords, taken, values } = rows;
  const { rows: counts } = await client.query<{ all: number; updated: number }>(
    `WITH k AS MATERIALIZED (SELECT k.key COLLATE "C" AS key, k.hash, k.record FROM ${taken} ORDER BY 1),
     updated AS (
       UPDATE ${state} t SET hash = k.hash${hasRecords ? ", record = k.record" : ""} FROM k
       WHERE t.key = k.key RETURNING 1)
     SELECT (SELECT count(*) FROM k) AS all, (SELECT count(*) FROM updated) AS updated`,
    values,
  );
  const { all = 0, updated = 0 } = counts[0] ?? {};
  if (updated < all) await upsert(client, rows);
}

async function upsert(
  client: pg.PoolClient,
  { state, hasRecords, taken, values }: RowsToRemember,
): Promise<void> {
  const record = hasRecords
    ? { column: ", record", value: ", k.record", renewed: ", record = excluded.record" }
    : { column: "", value: "", renewed: "" };
  // A model that gives other rows at each reading can repeat a key: either of its hashes is true.
  await client.query(
    `INSERT INTO ${state} AS state (key, hash${record.column})
     SELECT DISTINCT ON (k.key COLLATE "C") k.key, k.hash${record.value} FROM ${taken} ORDER BY k.key COLLATE "C"
     ON CONFLICT (key) DO UPDATE SET hash = excluded.hash${record.renewed}`,
    values,
  );
}
