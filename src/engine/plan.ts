/** Makes the plan of a run: from one snapshot, the batches to send, written once and never changed. */
import type { Readable } from "node:stream";
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import type { OpenDatabase } from "../projections/database.ts";
import type { CompiledSync, SourceSnapshot } from "../sources/source.ts";
import { BatchCutter, bodyFrame, recordsPerRequest } from "./batchCutter.ts";
import { BatchWriter } from "./batchWriter.ts";
import { CopyBinaryReader } from "./copyBinary.ts";
import { diffSnapshot, type InMemoryLimit, type Selection } from "./diff.ts";
import { stageTable, stateTable } from "./scratch.ts";
import { createStateTableSql } from "./syncState.ts";
import { inTransaction } from "./transaction.ts";

/** Fifty thousand keys go to the source as one constant list, which it hashes. */
const IN_MEMORY: InMemoryLimit = { keys: 50_000, bytes: 8 << 20 };

/** Rows gathered before a question to Postgres or a write. */
const CHUNK_ROWS = 2_000;
const CHUNK_BYTES = 1 << 20;

/** What a plan is made from. */
export interface PlanRequest {
  database: OpenDatabase;
  /** The one that takeSnapshot read. */
  snapshot: SourceSnapshot;
  compiled: CompiledSync;
  sync: Sync;
  runId: number;
  /** Start of the run: `sync_run_at` of each body. */
  runAt: Date;
  sourceRecordCount: number;
  fullSync: boolean;
  /** Told the rows planned so far, often: do little. */
  onProgress?: (rows: number) => void;
  signal?: AbortSignal;
  /** For tests: how much is held in memory before Postgres holds it. */
  inMemory?: InMemoryLimit;
}

/** The counters that a plan makes known. */
export interface Plan {
  sourceRecordCount: number;
  /** Rows to send. */
  updates: number;
  /** Rows set aside. */
  invalids: number;
  batches: number;
}

/** A row of the second pass that is to be sent, its key still in bytes. */
interface ReadRow {
  key: Buffer;
  hash: Buffer;
  /** Null when the record is too long. */
  record: Buffer | null;
}

/** The plan that a run already has; null before it is made. */
export async function findPlan(from: Pick<pg.Pool, "query">, runId: number): Promise<Plan | null> {
  const { rows } = await from.query<Plan>(
    `SELECT source_record_count AS "sourceRecordCount", updates, invalids, batches FROM egret.plans WHERE run_id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}

/**
 * Compares, reads the rows to send from the same snapshot, and writes the batches, in one transaction: a crash leaves
 * no plan, and a plan that is there is returned as it stands, so that two workers can never make two.
 * @throws RunFailure when the source fails; Unavailable when our Postgres does.
 */
export async function planRun(request: PlanRequest): Promise<Plan> {
  const { database, runId, sync } = request;
  return inTransaction(database.pool, async (client) => {
    await prepare(client, sync.id, runId);
    const existing = await findPlan(client, runId);
    if (existing !== null) return existing;
    const { selection, invalids } = await diffSnapshot(client, {
      syncId: sync.id,
      runId,
      sourceRecordCount: request.sourceRecordCount,
      fullSync: request.fullSync,
      inMemory: request.inMemory ?? IN_MEMORY,
    });
    await claimState(client, request);
    const written = await writeBatches(client, request, selection);
    const plan: Plan = {
      sourceRecordCount: request.sourceRecordCount,
      updates: written.rows,
      invalids: invalids + written.oversized,
      batches: written.batches,
    };
    await client.query("INSERT INTO egret.plans VALUES ($1, $2, $3, $4, $5)", [
      runId,
      plan.sourceRecordCount,
      plan.updates,
      plan.invalids,
      plan.batches,
    ]);
    await client.query(`DROP TABLE ${stageTable(runId)}`);
    return plan;
  });
}

async function prepare(client: pg.PoolClient, syncId: number, runId: number): Promise<void> {
  await client.query(
    `SET LOCAL lock_timeout = '30s'; SET LOCAL work_mem = '256MB'; SET LOCAL jit = off;
     SET LOCAL maintenance_work_mem = '256MB'`,
  );
  // Two workers that hold the same run for a moment take turns here; the second then meets the first one's plan.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('egret plan ' || $1::text, 0))", [runId]);
  await client.query(createStateTableSql(syncId));
}

/** While the state is empty it stands for any mapping: from now on for this one, so that a first run that fails goes on. */
async function claimState(client: pg.PoolClient, { sync, compiled }: PlanRequest): Promise<void> {
  await client.query(
    `INSERT INTO egret.sync_states (sync_id, fingerprint) SELECT $1, $2
     WHERE NOT EXISTS (SELECT FROM ${stateTable(sync.id)})
     ON CONFLICT (sync_id) DO UPDATE SET fingerprint = excluded.fingerprint`,
    [sync.id, compiled.fingerprint],
  );
}

async function writeBatches(
  client: pg.PoolClient,
  request: PlanRequest,
  selection: Selection,
): Promise<{ rows: number; oversized: number; batches: number }> {
  const { sync, runId, compiled, snapshot } = request;
  const writer = new BatchWriter(client, { runId, syncId: sync.id, destinationId: sync.destination.id });
  const frame = bodyFrame(sync, request.runAt);
  const cutter = new BatchCutter(frame, recordsPerRequest(sync), (batch) => writer.add(batch));
  let rows = 0;
  let oversized = 0;
  const tooLong: string[] = [];
  const isNothing = selection.mode === "only" && selection.count === 0;
  const listed = selection.mode === "only" ? selection.keys : null;
  const filter = filterFor(client, selection);
  const stream = isNothing ? null : await snapshot.copyOut(compiled.recordsSql(listed));
  for await (const chunk of stream === null ? [] : rowChunks(stream, request.signal)) {
    for (const row of filter === null ? chunk : await filter(chunk)) {
      if (row.record !== null && cutter.add({ ...row, record: row.record })) rows += 1;
      else tooLong.push(row.key.toString("utf8"));
    }
    await writer.flushIfFull();
    oversized += await recordOversized(client, runId, tooLong.splice(0));
    request.onProgress?.(rows);
  }
  cutter.flush();
  await writer.flush();
  return { rows, oversized, batches: cutter.batches };
}

async function recordOversized(client: pg.PoolClient, runId: number, keys: string[]): Promise<number> {
  if (keys.length > 0) {
    await client.query(
      `INSERT INTO egret.invalid_rows SELECT $1, left(key, 200), 'INVALID', 1 FROM unnest($2::text[]) AS k (key)`,
      [runId, keys],
    );
  }
  return keys.length;
}

/** Gives the rows of a stream in chunks; rows without a key were set aside by the diff. */
async function* rowChunks(stream: Readable, signal: AbortSignal | undefined): AsyncGenerator<ReadRow[]> {
  const reader = new CopyBinaryReader();
  let rows: ReadRow[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    reader.push(chunk, ([key, hash, record]) => {
      if (key && hash) rows.push({ key, hash, record: record ?? null });
    });
    bytes += chunk.length;
    if (rows.length < CHUNK_ROWS && bytes < CHUNK_BYTES) continue;
    yield rows;
    rows = [];
    bytes = 0;
  }
  if (!reader.ended)
    throw new RunFailure("SOURCE_CONNECTION_FAILED", "The source stopped in the middle of its rows");
  yield rows;
}

type Filter = (rows: ReadRow[]) => ReadRow[] | Promise<ReadRow[]>;

/** What decides row by row; null when every row with a key is sent. */
function filterFor(client: pg.PoolClient, selection: Selection): Filter | null {
  const isListedSent = selection.mode === "only";
  if (!isListedSent && selection.count === 0) return null;
  if (selection.keys !== null) {
    const listed = new Set(selection.keys);
    return (rows) => rows.filter((row) => listed.has(row.key.toString("utf8")) === isListedSent);
  }
  let isPrepared = false;
  return async (rows) => {
    // A few thousand keys against any number of listed ones: the planner would rather read the whole list each time.
    if (!isPrepared) await client.query("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off");
    isPrepared = true;
    const keys = rows.map((row) => row.key.toString("utf8"));
    const { rows: found } = await client.query<[number]>({
      text: `SELECT (place - 1)::int FROM unnest($1::text[]) WITH ORDINALITY AS u (key, place) JOIN egret_listed USING (key)`,
      values: [keys],
      rowMode: "array",
    });
    const listed = new Set(found.map(([place]) => place));
    return rows.filter((_row, place) => listed.has(place) === isListedSent);
  };
}
