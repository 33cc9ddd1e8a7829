/** Appends that find new rows by timestamps: which rows a run looks at, and how far it has come (behaviour.md 9.4). */
import type pg from "pg";
import { RunFailure } from "../domain/errors.ts";
import type { SourceSnapshot, SourceWindows, Window } from "../sources/source.ts";
import { CopyBinaryReader } from "./copyBinary.ts";
import { MAX_KEY_BYTES, stageTable, stateTable } from "./scratch.ts";

/** Rows looked at again in one run: they go to the source as one constant list. The rest waits for the next run. */
const MAX_RETRIED_KEYS = 50_000;

/** What a run by timestamps begins with. */
export interface WindowBounds {
  sourceRecordCount: number;
  /** The mark that the sync has once the run is committed. */
  nextMark: string;
}

/** Places of staged rows, as the source tells them. */
const WAITS = 1;

/** Rows of the model and the mark to come. */
export async function readBounds(
  snapshot: SourceSnapshot,
  windows: SourceWindows,
  mark: string | null,
): Promise<WindowBounds> {
  const reader = new CopyBinaryReader();
  let found: string[] = [];
  for await (const chunk of (await snapshot.copyOut(windows.boundsSql(mark))) as AsyncIterable<Buffer>) {
    reader.push(chunk, (fields) => {
      found = fields.map((field) => field?.toString("utf8") ?? "");
    });
  }
  const [rows, nextMark] = found;
  if (rows === undefined || nextMark === undefined)
    throw new RunFailure("SOURCE_CONNECTION_FAILED", "The source stopped in the middle of its rows");
  return { sourceRecordCount: Number(rows), nextMark };
}

/** Keys of rows that the mark has passed and that are to be sent still, those that waited longest first. */
export async function retriedKeys(client: pg.PoolClient, syncId: number): Promise<string[]> {
  const { rows } = await client.query<[string]>({
    text: `SELECT key FROM egret.retry_keys WHERE sync_id = $1 ORDER BY run_id, key LIMIT ${MAX_RETRIED_KEYS}`,
    values: [syncId],
    rowMode: "array",
  });
  return rows.map(([key]) => key);
}

/** What comes of looking at a window: the staged rows that may be sent, and those that are not to be. */
export interface WindowDiff {
  /** Staged rows in the window, or looked at again. */
  considered: number;
  nullKeys: number;
  /** Query of the rows' keys. */
  consideredSql: string;
  /** Query of keys among them that were accepted since the last commit, as they are now. */
  knownSql: string;
}

/**
 * Compares a staged window with the state, which holds what was accepted since the mark was committed: all that is older
 * is dropped from it, and from the list of rows to look at again what is no longer in the source.
 */
export async function compareWindow(
  client: pg.PoolClient,
  {
    syncId,
    runId,
    window,
    adoptsState,
  }: { syncId: number; runId: number; window: Window; adoptsState: boolean },
): Promise<WindowDiff> {
  const [stage, state] = [stageTable(runId), stateTable(syncId)];
  await client.query(`ANALYZE ${stage}`);
  await client.query(`DELETE FROM ${state} t WHERE NOT EXISTS (SELECT FROM ${stage} s WHERE s.key = t.key)`);
  if (adoptsState) {
    await client.query(`UPDATE ${state} t SET hash = s.hash FROM ${stage} s WHERE s.key = t.key`);
  }
  if (window.retry.length > 0) {
    await client.query(
      `DELETE FROM egret.retry_keys r WHERE sync_id = $1 AND key = ANY ($2::text[])
         AND NOT EXISTS (SELECT FROM ${stage} s WHERE s.key = r.key)`,
      [syncId, window.retry],
    );
  }
  const { rows } = await client.query<{ considered: number; nullKeys: number }>(
    `SELECT count(*) AS considered, count(*) FILTER (WHERE key IS NULL) AS "nullKeys" FROM ${stage}
     WHERE place <> ${WAITS}`,
  );
  return {
    ...(rows[0] as { considered: number; nullKeys: number }),
    consideredSql: `(SELECT key FROM ${stage} WHERE place <> ${WAITS}) c`,
    knownSql: `SELECT DISTINCT s.key FROM ${stage} s JOIN ${state} t ON t.key = s.key AND t.hash = s.hash
      WHERE s.place <> ${WAITS}`,
  };
}

/** Notes keys to be looked at again although the mark passes their rows. */
export async function retryLater(
  client: pg.PoolClient,
  { syncId, runId }: { syncId: number; runId: number },
  keysSql: string,
  values: unknown[] = [],
): Promise<void> {
  await client.query(
    `INSERT INTO egret.retry_keys (sync_id, key, run_id)
     SELECT ${syncId}, key, ${runId} FROM (SELECT DISTINCT key FROM (${keysSql}) k) d WHERE octet_length(key) <= ${MAX_KEY_BYTES}
     ON CONFLICT (sync_id, key) DO UPDATE SET run_id = excluded.run_id`,
    values,
  );
}
