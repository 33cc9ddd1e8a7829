/** Plans the deletes of a mirror: keys that left the source, read from our own Postgres a few at a time. */
import type pg from "pg";
import { KEY_FIELD } from "../domain/configuration.ts";
import type { Cutter, PlannedRow } from "./batchCutter.ts";
import type { BatchWriter } from "./batchWriter.ts";
import { IS_GONE } from "./diffKinds.ts";
import { type InvalidRow, recordInvalidRows } from "./invalidRows.ts";

/** Rows of one fetch: as many as make about two megabytes, going by the fetch before. */
const FETCH_BYTES = 2 << 20;
const FIRST_ROWS = 50;
const MOST_ROWS = 2_000;

const NO_HASH = Buffer.alloc(0);

/** What deletes are made of. */
export interface DeletesToPlan {
  /** What to select their last accepted records from: (key, record). */
  goneRecords: string;
  runId: number;
  /** See CompiledSync. */
  keyJsonSql(key: string): string;
  /** Whether a deleted row travels with its last accepted record. */
  sendsRecord: boolean;
  cutter: Cutter;
  writer: BatchWriter;
  signal?: AbortSignal | undefined;
}

/**
 * Cuts the keys in egret_diff that left the source into batches, and returns how many they are; those of which no
 * request can be made are set aside, and stay in the state.
 */
export async function writeDeletes(
  client: pg.PoolClient,
  deletes: DeletesToPlan,
): Promise<{ rows: number; invalids: number }> {
  const { goneRecords, runId, sendsRecord, cutter, writer, signal } = deletes;
  const json = await keyJson(client, deletes);
  const bare = `'{"${KEY_FIELD}":' || ${json} || '}'`;
  // Accepted while the option was off, a row has no record and travels with its key alone.
  const [record, join] = sendsRecord ? ["t.record", `JOIN ${goneRecords} t USING (key)`] : ["NULL", ""];
  // The second pass may have switched off what a look at every key needs.
  await client.query("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on");
  await client.query(
    `DECLARE egret_gone NO SCROLL CURSOR FOR SELECT d.key, ${bare} AS bare, ${record} AS record
     FROM egret_diff d ${join} WHERE ${IS_GONE}`,
  );
  let rows = 0;
  let invalids = 0;
  for (let wanted = FIRST_ROWS; ; ) {
    signal?.throwIfAborted();
    const { rows: found } = await client.query<[string, string, string | null]>({
      text: `FETCH ${wanted} FROM egret_gone`,
      rowMode: "array",
    });
    if (found.length === 0) break;
    let bytes = 0;
    const invalid: InvalidRow[] = [];
    for (const [key, keyAlone, full] of found) {
      const row = (text: string): PlannedRow => ({
        key: Buffer.from(key),
        hash: NO_HASH,
        record: Buffer.from(text),
      });
      // A record may not fit where the connection got a longer name since.
      const isTaken = (full !== null && cutter.add(row(full))) || cutter.add(row(keyAlone));
      if (!isTaken) invalid.push({ key: Buffer.from(key), message: cutter.fault });
      bytes += key.length + (full ?? keyAlone).length;
    }
    rows += found.length - invalid.length;
    invalids += await recordInvalidRows(client, runId, invalid);
    await writer.flushIfFull();
    wanted = Math.min(MOST_ROWS, Math.max(1, Math.floor((FETCH_BYTES * found.length) / bytes)));
  }
  await client.query("CLOSE egret_gone");
  cutter.flush();
  await writer.flush();
  return { rows, invalids };
}

/** SQL of a key as it stood in the record; as a text where the key's column got a type that old keys do not fit. */
async function keyJson(client: pg.PoolClient, { keyJsonSql }: DeletesToPlan): Promise<string> {
  const json = keyJsonSql("d.key");
  await client.query("SAVEPOINT egret_keys");
  try {
    await client.query(`SELECT count(${json}) FROM egret_diff d WHERE ${IS_GONE}`);
    await client.query("RELEASE SAVEPOINT egret_keys");
    return json;
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("22") !== true) throw error;
    await client.query("ROLLBACK TO SAVEPOINT egret_keys");
    return "to_json(d.key)::text";
  }
}
