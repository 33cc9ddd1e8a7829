/** One run in the hands of one worker: the sync engine behind the steps of the run, under a lock in our Postgres. */
import type pg from "pg";
import type { Sync } from "../../domain/configuration.ts";
import { RunFailure, toError, Unavailable } from "../../domain/errors.ts";
import { bringState } from "../../engine/advancedMove.ts";
import { relayBeforeCommit } from "../../engine/advancedRelay.ts";
import { releaseSync } from "../../engine/claims.ts";
import { compileSync } from "../../engine/compileSync.ts";
import { type HeldBatches, MOST_HELD_BODY_BYTES } from "../../engine/heldBatches.ts";
import { findPlan, planRun } from "../../engine/plan.ts";
import { readOpenBatches, runTotals } from "../../engine/settle.ts";
import { type TakenSnapshot, takeSnapshot } from "../../engine/snapshot.ts";
import { commitRun, type RunMode, resolveRun } from "../../engine/syncState.ts";
import { withdrawBatches } from "../../engine/withdraw.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { postgresSource } from "../../sources/postgres.ts";
import type { CompiledSync, SourceSnapshot } from "../../sources/source.ts";
import { orAborted } from "./orAborted.ts";
import type { LoadTotals, PlannedBatch, RunEngine, RunSession } from "./runSession.ts";

export interface RunEngineOptions {
  database: OpenDatabase;
  /** Null when the sync was deleted. */
  readSync(id: number): Promise<Sync | null>;
  /** Where those who send in this process find what was read when it was fed; not given, they read it themselves. */
  held?: HeldBatches;
}

/** Postgres tells bytes; people want rows. A key with its hash takes about this much in a binary COPY. */
const ABOUT_BYTES_PER_ROW = 30;

/** A snapshot in which the source compares, too. */
const COMPARES = { workMemMb: 128 };

/** The engine as the run worker sees it. */
export function runEngine(options: RunEngineOptions): RunEngine {
  return {
    async open(run) {
      const lock = await lockRun(options.database.pool, run.runId);
      return lock === null ? null : new EngineSession(options, run, lock);
    },
  };
}

/** The lock on a run: lost with its connection, so that a Postgres that restarted is noticed. */
export interface RunLock {
  /** @throws Unavailable when the lock was lost. */
  verify(): Promise<void>;
  release(): void;
}

/** Two workers never prepare one run at the same time, even when the log gave it to both for a moment. */
export async function lockRun(pool: pg.Pool, runId: number): Promise<RunLock | null> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw new Unavailable(`our Postgres cannot be reached: ${toError(cause).message}`, { cause });
  });
  const ignore = (): void => undefined;
  client.on("error", ignore);
  const key = `egret run ${runId}`;
  let isOurs = false;
  try {
    const sqlText = "select pg_try_advisory_lock(hashtextextended($1, 0)) as ours";
    const { rows } = await client.query<{ ours: boolean }>(sqlText, [key]);
    isOurs = rows[0]?.ours === true;
  } finally {
    if (!isOurs) client.release(true);
  }
  if (!isOurs) return null;
  return {
    verify: async () => {
      await client.query("select 1").catch((cause: unknown) => {
        throw new Unavailable("our Postgres broke off: the lock on the run is lost", { cause });
      });
    },
    // Closing the connection is the surest way to give the lock up.
    release: () => client.release(true),
  };
}

async function hasDeletes(db: OpenDatabase["db"], runId: number): Promise<boolean> {
  const plan = await db
    .selectFrom("egret.plans")
    .select("deletes")
    .where("run_id", "=", runId)
    .executeTakeFirst();
  return (plan?.deletes ?? 0) > 0;
}

class EngineSession implements RunSession {
  readonly #options: RunEngineOptions;
  readonly #run: { syncId: number; runId: number };
  readonly #lock: RunLock;
  #sync: Sync | null = null;
  #isFull = false;
  #compiled: CompiledSync | null = null;
  #taken: { snapshot: SourceSnapshot; taken: TakenSnapshot; mode: RunMode } | null = null;
  /** Whether deletes have to wait for changed rows; null before it is known. */
  #areDeletesLast: boolean | null = null;

  constructor(options: RunEngineOptions, run: { syncId: number; runId: number }, lock: RunLock) {
    this.#options = options;
    this.#run = run;
    this.#lock = lock;
  }

  async check(forceFullSync: boolean) {
    const { sync, compiled } = await this.#compile();
    const { db } = this.#options.database;
    const { fullSync, reasons } = await resolveRun(db, sync, compiled, forceFullSync);
    this.#isFull = fullSync;
    return { destinationId: sync.destination.id, fullSync, reasons };
  }

  async snapshot(onProgress: (rows: number) => void, signal?: AbortSignal) {
    const { sync, compiled } = await this.#compile();
    await this.#dropSnapshot();
    const resolved = await resolveRun(this.#options.database.db, sync, compiled, false);
    // A comparison in the source is made for what was asked: made otherwise, it would have to be made again.
    const mode = { ...resolved, fullSync: resolved.fullSync || this.#isFull };
    const home = await bringState({
      database: this.#options.database,
      sync,
      compiled,
      mode,
      ...(signal === undefined ? {} : { signal }),
    });
    const opening = postgresSource.openSnapshot(sync.source, home === null ? {} : COMPARES);
    const snapshot = await orAborted(signal, opening, (late) => late.close());
    try {
      const taken = await takeSnapshot({
        database: this.#options.database,
        snapshot,
        compiled,
        sync,
        mode,
        home,
        runId: this.#run.runId,
        onProgress: (bytes) => onProgress(Math.round(bytes / ABOUT_BYTES_PER_ROW)),
        ...(signal === undefined ? {} : { signal }),
      });
      this.#taken = { snapshot, taken, mode };
      return { sourceRecordCount: taken.sourceRecordCount };
    } catch (error) {
      this.#compiled = null;
      await snapshot.close();
      throw error;
    }
  }

  async plan(facts: Parameters<RunSession["plan"]>[0]) {
    const { fullSync, allowDeletes, syncRunAt, onProgress, signal } = facts;
    // The scratch table does not survive a crash of Postgres: without our lock it cannot be trusted.
    await this.#lock.verify();
    // Made already, by a worker that died before it could say so: the source need not even be there.
    const existing = await findPlan(this.#options.database.pool, this.#run.runId);
    if (existing !== null) return existing;
    if (this.#taken === null) {
      // What broke off is begun anew, and the source may have other columns by now.
      this.#compiled = null;
      await this.snapshot(() => undefined, signal);
    }
    const { sync, compiled } = await this.#compile();
    const taken = this.#taken;
    if (taken === null) throw new Unavailable("the snapshot is gone");
    // A source that is slow to give its next row is not waited for.
    const stop = () => void this.#dropSnapshot();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await planRun({
        database: this.#options.database,
        ...taken,
        compiled,
        sync,
        runId: this.#run.runId,
        runAt: syncRunAt,
        fullSync,
        allowDeletes,
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(signal === undefined ? {} : { signal }),
      });
    } finally {
      signal?.removeEventListener("abort", stop);
      await this.#dropSnapshot();
    }
  }

  async destinationTimeoutMs() {
    const { sync } = await this.#readSync();
    return sync.destination.settings.timeout_seconds * 1000;
  }

  async maxRejectedPercent() {
    const { sync } = await this.#readSync();
    return sync.options.max_rejected_percent ?? null;
  }

  async openBatches(afterBatchNo: number, limit: number): Promise<PlannedBatch[]> {
    const areChangesFirst = await this.#hasOpenChanges();
    return this.#options.database.db
      .selectFrom("egret.batches")
      .select(["batch_no as batchNo", "name", "records", "body_sha256 as bodySha256"])
      .where("run_id", "=", this.#run.runId)
      .where("outcome", "is", null)
      .where("batch_no", ">", afterBatchNo)
      .$if(areChangesFirst, (query) => query.where("operation", "<>", "delete"))
      .orderBy("batch_no")
      .limit(limit)
      .execute();
  }

  async batchesToFeed(afterBatchNo: number, limit: number): Promise<PlannedBatch[]> {
    const { database, held } = this.#options;
    const { runId } = this.#run;
    if (held?.makeRoom() !== true) return this.openBatches(afterBatchNo, limit);
    const withoutDeletes = await this.#hasOpenChanges();
    const mostBodyBytes = MOST_HELD_BODY_BYTES;
    const asked = { runId, afterBatchNo, limit, withoutDeletes, mostBodyBytes };
    const batches = await readOpenBatches(database.pool, asked);
    return batches.map(({ name, batch }) => {
      const { batchNo, records, bodySha256 } = batch;
      held.hold(runId, name ?? batchNo, batch);
      return { batchNo, name, records, bodySha256 };
    });
  }

  letGo(): void {
    this.#options.held?.drop(this.#run.runId);
  }

  async stillOpen(batchNos: readonly number[]): Promise<number[]> {
    const rows = await this.#options.database.db
      .selectFrom("egret.batches")
      .select("batch_no")
      .where("run_id", "=", this.#run.runId)
      .where("outcome", "is", null)
      .where("batch_no", "in", [...batchNos])
      .execute();
    return rows.map((row) => row.batch_no);
  }

  async withdraw(batchNos: readonly number[]): Promise<void> {
    await withdrawBatches(this.#options.database.db, this.#run.runId, batchNos);
  }

  async totals(): Promise<LoadTotals> {
    const { db } = this.#options.database;
    const totals = await runTotals(db, this.#run.runId);
    const given =
      totals.unavailable.batches === 0
        ? undefined
        : await db
            .selectFrom("egret.batches")
            .select("status_message")
            .where("run_id", "=", this.#run.runId)
            .where("outcome", "=", "unavailable")
            .orderBy("batch_no")
            .limit(1)
            .executeTakeFirst();
    return {
      open: totals.open.batches,
      acceptedRecords: totals.accepted.records,
      rejectedRecords: totals.rejected.records,
      unavailableBatches: totals.unavailable.batches,
      unavailableMessage: given?.status_message ?? null,
    };
  }

  async commit(): Promise<void> {
    const sync = await this.#options.readSync(this.#run.syncId);
    if (sync !== null) await relayBeforeCommit(this.#options.database, sync.source, sync.id);
    await commitRun(this.#options.database.db, this.#run.syncId, this.#run.runId);
  }

  release(): Promise<void> {
    return releaseSync(this.#options.database.db, this.#run.syncId, this.#run.runId);
  }

  async close(): Promise<void> {
    await this.#dropSnapshot();
    this.#lock.release();
  }

  /** True while rows of a plan are on their way that deletes have to wait for. Source: behaviour.md 2.4. */
  async #hasOpenChanges(): Promise<boolean> {
    const { db } = this.#options.database;
    const { runId } = this.#run;
    this.#areDeletesLast ??= await hasDeletes(db, runId);
    if (!this.#areDeletesLast) return false;
    const open = await db
      .selectFrom("egret.batches")
      .select("batch_no")
      .where("run_id", "=", runId)
      .where("outcome", "is", null)
      .where("operation", "<>", "delete")
      .limit(1)
      .executeTakeFirst();
    // Halves come from batches that are open, so that none can come any more.
    this.#areDeletesLast = open !== undefined;
    return this.#areDeletesLast;
  }

  async #readSync(): Promise<{ sync: Sync }> {
    this.#sync ??= await this.#options.readSync(this.#run.syncId);
    if (this.#sync === null) {
      throw new RunFailure(
        "CONFIG_INVALID",
        "The sync of this run was deleted",
        "Nothing is to be done: the run ends here.",
      );
    }
    return { sync: this.#sync };
  }

  async #compile(): Promise<{ sync: Sync; compiled: CompiledSync }> {
    const { sync } = await this.#readSync();
    this.#compiled ??= await compileSync(sync);
    return { sync, compiled: this.#compiled };
  }

  async #dropSnapshot(): Promise<void> {
    const taken = this.#taken;
    this.#taken = null;
    await taken?.snapshot.close();
  }
}
