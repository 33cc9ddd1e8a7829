/** Copies key and hash of every source row into a scratch table of ours: bytes pass through, rows are never looked at. */
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { CompiledSync, SourceSnapshot, Window } from "../sources/source.ts";
import { type Compared, compareInSource } from "./advancedDiff.ts";
import type { SourceHome } from "./advancedState.ts";
import { stageTable } from "./scratch.ts";
import { fillFrom } from "./stageFill.ts";
import type { RunMode } from "./syncState.ts";
import { inTransaction } from "./transaction.ts";
import { readBounds, retriedKeys } from "./windows.ts";

/** What a snapshot is taken from, and for which run. */
export interface SnapshotRequest {
  database: OpenDatabase;
  snapshot: SourceSnapshot;
  compiled: CompiledSync;
  sync: Pick<Sync, "id" | "options" | "operation">;
  mode: RunMode;
  /** Where the state stands in the source, as bringState tells it; null: in our Postgres. */
  home?: SourceHome | null;
  runId: number;
  /** Told the bytes read so far, often: do little. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** What was read, and how. */
export interface TakenSnapshot {
  sourceRecordCount: number;
  /** Rows of the scratch table: fewer than the source has where only a window was read. */
  stagedRows: number;
  /** Whether the scratch table has a second hash, by today's columns. */
  isRehash: boolean;
  /** For a sync that finds new rows by timestamps; `window` is null when this run only looks how far they go. */
  timestamps: { window: Window | null; nextMark: string } | null;
  /** What a comparison in the source found, whose differences the scratch table then holds; null: nothing was compared yet. */
  compared: Compared | null;
}

/** What a scratch table is filled with; without a query it stays empty. */
interface Reading {
  columns: string;
  definition: string;
  sql: string | null;
}

/**
 * Fills the run's scratch table anew and tells how many rows the source has.
 * @throws RunFailure when the source fails; Unavailable when our Postgres does.
 */
export async function takeSnapshot(request: SnapshotRequest): Promise<TakenSnapshot> {
  const { database, compiled, runId, signal } = request;
  const stage = stageTable(runId);
  const fill = async (client: pg.PoolClient): Promise<TakenSnapshot> => {
    await client.query("SET LOCAL lock_timeout = '30s'");
    await client.query(`DROP TABLE IF EXISTS ${stage}`);
    const { windows } = compiled;
    if (windows !== null) return fillWindow(client, request, windows);
    if (request.home) {
      const compared = await compareInSource(client, { ...request, home: request.home });
      const { staged } = compared;
      return { sourceRecordCount: staged, stagedRows: staged, isRehash: false, timestamps: null, compared };
    }
    const { previousColumns } = request.mode;
    const rehashSql = previousColumns === null ? null : compiled.rehashSql(previousColumns);
    const rows = await fillStage(
      client,
      request,
      rehashSql === null
        ? { ...KEYS, sql: compiled.keysSql }
        : {
            columns: `${KEYS.columns}, next`,
            definition: `${KEYS.definition}, next bigint NOT NULL`,
            sql: rehashSql,
          },
    );
    return {
      sourceRecordCount: rows,
      stagedRows: rows,
      isRehash: rehashSql !== null,
      timestamps: null,
      compared: null,
    };
  };
  return inTransaction(database.pool, fill, signal);
}

const KEYS = { columns: "key, hash", definition: 'key text COLLATE "C", hash bigint NOT NULL' };

async function fillWindow(
  client: pg.PoolClient,
  request: SnapshotRequest,
  windows: NonNullable<CompiledSync["windows"]>,
): Promise<TakenSnapshot> {
  const { snapshot, sync, mode } = request;
  const { sourceRecordCount, nextMark } = await readBounds(snapshot, windows, mode.mark);
  const isSkipped = mode.beginsAnew && sync.options.historical_sync_operation === "skip_current_records";
  const retry = mode.beginsAnew ? [] : await retriedKeys(client, sync.id);
  const window = isSkipped ? null : { from: mode.mark, to: nextMark, retry };
  const stagedRows = await fillStage(client, request, {
    columns: `${KEYS.columns}, place`,
    definition: `${KEYS.definition}, place smallint NOT NULL`,
    sql: window === null ? null : windows.keysSql(window),
  });
  return { sourceRecordCount, stagedRows, isRehash: false, timestamps: { window, nextMark }, compared: null };
}

/** Makes the scratch table and copies what a query gives into it; returns the rows. */
async function fillStage(
  client: pg.PoolClient,
  { snapshot, runId, onProgress, signal }: SnapshotRequest,
  { columns, definition, sql }: Reading,
): Promise<number> {
  const stage = stageTable(runId);
  await client.query(`CREATE UNLOGGED TABLE ${stage} (${definition})`);
  if (sql === null) return 0;
  return fillFrom(client, { snapshot, sql, into: `${stage} (${columns})`, isNew: true, onProgress, signal });
}
