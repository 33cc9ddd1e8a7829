/** Makes the plan of a run: from one snapshot, the batches to send, written once and never changed. */
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { type CompiledSync, type SourceSnapshot } from "../sources/source.ts";
import { compareInSource } from "./advancedDiff.ts";
import { plannedJournal } from "./advancedJournal.ts";
import { BatchWriter } from "./batchWriter.ts";
import { writeDeletes } from "./deletes.ts";
import { type Diff, diffSnapshot, type InMemoryLimit, NOTHING, type Selection } from "./diff.ts";
import { deleteGuard } from "./fuses.ts";
import { type InvalidRow, recordInvalidRows, recordOf } from "./invalidRows.ts";
import { OPERATION_RULES } from "./operations.ts";
import { type CutKind, openCutter } from "./requestCutter.ts";
import { filterFor, rowChunks } from "./rowChunks.ts";
import { MAX_KEY_BYTES, stageTable, stateTable } from "./scratch.ts";
import type { TakenSnapshot } from "./snapshot.ts";
import type { PlannedState } from "./stateHome.ts";
import { tableState } from "./stateHomeTable.ts";
import { beginAnew, claimState, type RunMode } from "./syncState.ts";
import { inTransaction } from "./transaction.ts";
import { retryLater } from "./windows.ts";

/** Fifty thousand keys go to the source as one constant list, which it hashes. */
const IN_MEMORY: InMemoryLimit = { keys: 50_000, bytes: 8 << 20 };

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
  /** What takeSnapshot read in this mode. */
  taken: TakenSnapshot;
  mode: RunMode;
  fullSync: boolean;
  /** Whether max_delete_percent is passed over this time. */
  allowDeletes?: boolean;
  /** Of a dry run: batches are cut and counted, not written. */
  isDiscarded?: boolean;
  /** Told the rows planned so far, often: do little. */
  onProgress?: (rows: number) => void;
  signal?: AbortSignal;
  /** For tests: how much is held in memory before Postgres holds it. */
  inMemory?: InMemoryLimit;
}

/** The counters that a plan makes known. */
export interface Plan {
  sourceRecordCount: number;
  /** New or changed rows to send. */
  updates: number;
  /** Rows to delete. */
  deletes: number;
  /** Rows set aside. */
  invalids: number;
  batches: number;
}

/** The plan that a run already has; null before it is made. */
export async function findPlan(from: Pick<pg.Pool, "query">, runId: number): Promise<Plan | null> {
  const { rows } = await from.query<Plan>(
    `SELECT source_record_count AS "sourceRecordCount", updates, deletes, invalids, batches
     FROM egret.plans WHERE run_id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}

/**
 * Compares, reads the rows to send from the same snapshot, and writes the batches, in one transaction: a crash leaves
 * no plan, and a plan that is there is returned as it stands, so that two workers can never make two.
 * @throws RunFailure when the source fails or a fuse blows; Unavailable when our Postgres does.
 */
export async function planRun(request: PlanRequest): Promise<Plan> {
  return inTransaction(request.database.pool, (client) => makePlan(client, request), request.signal);
}

/** The plan, made in a transaction of the caller's: what becomes of that becomes of the plan. */
export async function makePlan(client: pg.PoolClient, asked: PlanRequest): Promise<Plan> {
  const { runId, sync, mode, compiled } = asked;
  await prepare(client, asked);
  const existing = await findPlan(client, runId);
  if (existing !== null) return existing;
  const request = await compareAsAsked(client, asked);
  const { taken } = request;
  const state = stateOf(request);
  await state.prepare(client, { keepsRecords: keepsRecords(sync) });
  if (mode.beginsAnew) await beginAnew(client, sync.id, state);
  const rules = OPERATION_RULES[sync.operation];
  const diff = await diffSnapshot(client, {
    syncId: sync.id,
    runId,
    taken,
    fullSync: request.fullSync || mode.fullSync,
    rules,
    adoptsState: mode.adoptsState,
    inMemory: request.inMemory ?? IN_MEMORY,
  });
  const isGuarded = rules.gone === "delete" && request.allowDeletes !== true;
  const refusal = isGuarded
    ? deleteGuard({ deletes: diff.gone, remembered: diff.remembered }, sync.options.max_delete_percent)
    : null;
  if (refusal !== null) throw refusal;
  // While the state is empty it stands for any mapping: from now on for this one, so that a first run that fails goes on.
  if (await state.isEmpty(client)) await claimState(client, sync.id, compiled);
  if (taken.isRehash) await rehash(client, request);
  const isSkipped = mode.beginsAnew && sync.options.historical_sync_operation === "skip_current_records";
  if (isSkipped && taken.timestamps === null) await remember(client, request);
  const written = await writeBatches(client, request, isSkipped ? { ...diff, selection: NOTHING } : diff);
  const plan: Plan = {
    sourceRecordCount: taken.sourceRecordCount,
    updates: written.rows,
    deletes: written.deletes,
    invalids: diff.invalids + written.invalids,
    batches: written.batches,
  };
  await insertPlan(client, request, plan);
  await client.query(`DROP TABLE ${stageTable(runId)}`);
  return plan;
}

async function insertPlan(
  client: pg.PoolClient,
  { runId, compiled, taken }: PlanRequest,
  { sourceRecordCount, updates, deletes, invalids, batches }: Plan,
): Promise<void> {
  await client.query(
    `INSERT INTO egret.plans
       (run_id, source_record_count, updates, deletes, invalids, batches, fingerprint, high_water_mark)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      runId,
      sourceRecordCount,
      updates,
      deletes,
      invalids,
      batches,
      JSON.stringify(compiled.fingerprint),
      taken.timestamps?.nextMark ?? null,
    ],
  );
}

/** Of scratch tables only the sizes matter: a tenth of the sample that ANALYZE takes by itself tells them. */
async function prepare(client: pg.PoolClient, { runId }: PlanRequest): Promise<void> {
  await client.query(
    `SET LOCAL lock_timeout = '30s'; SET LOCAL work_mem = '256MB'; SET LOCAL jit = off;
     SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL default_statistics_target = 10; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'`,
  );
  // Two workers that hold the same run for a moment take turns here; the second then meets the first one's plan.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('egret plan ' || $1::text, 0))", [runId]);
}

function stateOf({ sync, runId, taken }: PlanRequest): PlannedState {
  return taken.compared === null
    ? tableState(sync.id)
    : plannedJournal({ syncId: sync.id, runId }, taken.compared);
}

/** A comparison in the source is made for a full run, or for one that is not: asked otherwise, it is made again. */
async function compareAsAsked(client: pg.PoolClient, request: PlanRequest): Promise<PlanRequest> {
  const { taken, mode } = request;
  const fullSync = request.fullSync || mode.fullSync;
  if (taken.compared === null || taken.compared.fullSync === fullSync) return request;
  await client.query(`DROP TABLE ${stageTable(request.runId)}`);
  const wanted = { ...request, mode: { ...mode, fullSync }, home: taken.compared.home };
  const compared = await compareInSource(client, wanted);
  return { ...request, taken: { ...taken, stagedRows: compared.staged, compared } };
}

function keepsRecords({ operation, options }: Sync): boolean {
  return operation === "mirror" && options.send_full_record_on_delete;
}

/** Rows that are as they were accepted count as accepted under today's columns: a removed mapping sends nothing again. */
async function rehash(client: pg.PoolClient, { sync, runId, compiled }: PlanRequest): Promise<void> {
  await client.query(
    `UPDATE ${stateTable(sync.id)} t SET hash = s.next FROM ${stageTable(runId)} s
     WHERE s.key = t.key AND s.hash = t.hash`,
  );
  await claimState(client, sync.id, compiled);
}

/** Takes every key that is there for sent, also those that several rows have. */
async function remember(client: pg.PoolClient, { sync, runId }: PlanRequest): Promise<void> {
  await client.query(
    `INSERT INTO ${stateTable(sync.id)} (key, hash) SELECT DISTINCT ON (key) key, hash FROM ${stageTable(runId)}
     WHERE octet_length(key) <= ${MAX_KEY_BYTES} ORDER BY key`,
  );
}

/** The query of the second pass; null when no row is to be sent. */
function recordsSql({ compiled, taken, runId, runAt }: PlanRequest, selection: Selection): string | null {
  if (selection.mode === "only" && selection.count === 0) return null;
  const run = { runId, startedAt: runAt };
  const window = taken.timestamps?.window ?? null;
  if (window !== null && compiled.windows !== null) return compiled.windows.recordsSql(window, run);
  if (selection.mode === "only" && selection.keys === null && taken.compared !== null)
    return compiled.changedSql(taken.compared.home.table, run);
  return compiled.recordsSql(selection.mode === "only" ? selection.keys : null, run);
}

async function writeBatches(
  client: pg.PoolClient,
  request: PlanRequest,
  { selection, gone }: Diff,
): Promise<{ rows: number; deletes: number; invalids: number; batches: number }> {
  const { sync, runId, snapshot, compiled } = request;
  const rules = OPERATION_RULES[sync.operation];
  const writer = new BatchWriter(client, { runId, syncId: sync.id, destinationId: sync.destination.id });
  const cutterOf = (kind: CutKind) =>
    openCutter({ ...kind, sync, runAt: request.runAt }, (batch) => {
      if (request.isDiscarded !== true) writer.add(batch);
    });
  const cutter = cutterOf({ operation: rules.batches, keepsRecords: keepsRecords(sync) });
  let rows = 0;
  let invalids = 0;
  const invalid: InvalidRow[] = [];
  const filter = filterFor(client, selection);
  const sqlText = recordsSql(request, selection);
  const reading = { signal: request.signal, isEager: filter === null };
  const stream = sqlText === null ? null : await snapshot.copyOut(sqlText);
  for await (const chunk of stream === null ? [] : rowChunks(stream, reading)) {
    const isSent = filter === null ? null : await filter(chunk);
    for (let place = 0; place < chunk.length; place += 1) {
      if (isSent?.(place) === false) continue;
      const row = chunk.row(place);
      const built = recordOf(compiled, row.record);
      if ("invalid" in built) invalid.push({ key: row.key, message: built.invalid });
      else if (cutter.add({ ...row, record: built.record })) rows += 1;
      else invalid.push({ key: row.key, message: cutter.fault });
    }
    await writer.flushIfFull();
    invalids += await setAside(client, request, invalid.splice(0));
    request.onProgress?.(rows);
  }
  cutter.flush();
  await writer.flush();
  if (rules.gone === "forget" && gone > 0) {
    await stateOf(request).forgetGone(client);
  }
  if (rules.gone !== "delete" || gone === 0) return { rows, deletes: 0, invalids, batches: cutter.lastNo };
  const deleting = cutterOf({ operation: "delete", after: cutter.lastNo, forgets: true });
  const deletes = await writeDeletes(client, {
    runId,
    goneRecords: stateOf(request).goneRecords,
    keyJsonSql: compiled.keyJsonSql,
    sendsRecord: keepsRecords(sync),
    cutter: deleting,
    writer,
    signal: request.signal,
  });
  return { rows, deletes: deletes.rows, invalids: invalids + deletes.invalids, batches: deleting.lastNo };
}

async function setAside(
  client: pg.PoolClient,
  { runId, sync, taken }: PlanRequest,
  rows: readonly InvalidRow[],
): Promise<number> {
  if (rows.length > 0 && taken.timestamps !== null) {
    const keys = rows.map(({ key }) => key.toString("utf8"));
    await retryLater(client, { syncId: sync.id, runId }, "SELECT key FROM unnest($1::text[]) AS k (key)", [
      keys,
    ]);
  }
  return recordInvalidRows(client, runId, rows);
}
