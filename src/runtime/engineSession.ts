/** One run in the hands of one worker: the sync engine behind the steps of the run, under a lock in our Postgres. */
import type pg from "pg";
import type { Sync } from "../domain/configuration.ts";
import { InvalidInput, RunFailure, toError, Unavailable } from "../domain/errors.ts";
import { releaseSync } from "../engine/claims.ts";
import { findPlan, planRun } from "../engine/plan.ts";
import { runTotals } from "../engine/settle.ts";
import { takeSnapshot } from "../engine/snapshot.ts";
import { commitRun, resolveFullSync } from "../engine/syncState.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { postgresSource } from "../sources/postgres.ts";
import type { CompiledSync, SourceSnapshot } from "../sources/source.ts";
import type { LoadTotals, PlannedBatch, RunEngine, RunSession } from "./runSession.ts";

export interface RunEngineOptions {
  database: OpenDatabase;
  /** Null when the sync was deleted. */
  readSync(id: number): Promise<Sync | null>;
}

/** Postgres tells bytes; people want rows. A key with its hash takes about this much in a binary COPY. */
const ABOUT_BYTES_PER_ROW = 30;

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
interface RunLock {
  /** @throws Unavailable when the lock was lost. */
  verify(): Promise<void>;
  release(): void;
}

/** Two workers never prepare one run at the same time, even when the log gave it to both for a moment. */
async function lockRun(pool: pg.Pool, runId: number): Promise<RunLock | null> {
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

class EngineSession implements RunSession {
  readonly #options: RunEngineOptions;
  readonly #run: { syncId: number; runId: number };
  readonly #lock: RunLock;
  #sync: Sync | null = null;
  #compiled: CompiledSync | null = null;
  #taken: { snapshot: SourceSnapshot; sourceRecordCount: number } | null = null;

  constructor(options: RunEngineOptions, run: { syncId: number; runId: number }, lock: RunLock) {
    this.#options = options;
    this.#run = run;
    this.#lock = lock;
  }

  async check(forceFullSync: boolean) {
    const { sync, compiled } = await this.#compile();
    const { db } = this.#options.database;
    const { fullSync, reasons } = await resolveFullSync(db, sync, compiled, forceFullSync);
    return { destinationId: sync.destination.id, fullSync, reasons };
  }

  async snapshot(onProgress: (rows: number) => void) {
    const { sync, compiled } = await this.#compile();
    await this.#dropSnapshot();
    const snapshot = await postgresSource.openSnapshot(sync.source);
    try {
      const { sourceRecordCount } = await takeSnapshot({
        database: this.#options.database,
        snapshot,
        compiled,
        runId: this.#run.runId,
        onProgress: (bytes) => onProgress(Math.round(bytes / ABOUT_BYTES_PER_ROW)),
      });
      this.#taken = { snapshot, sourceRecordCount };
      return { sourceRecordCount };
    } catch (error) {
      await snapshot.close();
      throw error;
    }
  }

  async plan({ fullSync, syncRunAt }: { fullSync: boolean; syncRunAt: Date }) {
    // The scratch table does not survive a crash of Postgres: without our lock it cannot be trusted.
    await this.#lock.verify();
    // Made already, by a worker that died before it could say so: the source need not even be there.
    const existing = await findPlan(this.#options.database.pool, this.#run.runId);
    if (existing !== null) return { ...existing, deletes: 0 };
    if (this.#taken === null) await this.snapshot(() => undefined);
    const { sync, compiled } = await this.#compile();
    const taken = this.#taken;
    if (taken === null) throw new Unavailable("the snapshot is gone");
    try {
      const plan = await planRun({
        database: this.#options.database,
        snapshot: taken.snapshot,
        compiled,
        sync,
        runId: this.#run.runId,
        runAt: syncRunAt,
        sourceRecordCount: taken.sourceRecordCount,
        fullSync,
      });
      return { ...plan, deletes: 0 };
    } finally {
      await this.#dropSnapshot();
    }
  }

  async destinationTimeoutMs() {
    const { sync } = await this.#readSync();
    return sync.destination.settings.timeout_seconds * 1000;
  }

  openBatches(afterBatchNo: number, limit: number): Promise<PlannedBatch[]> {
    return this.#options.database.db
      .selectFrom("egret.batches")
      .select(["batch_no as batchNo", "records", "body_sha256 as bodySha256"])
      .where("run_id", "=", this.#run.runId)
      .where("outcome", "is", null)
      .where("batch_no", ">", afterBatchNo)
      .orderBy("batch_no")
      .limit(limit)
      .execute();
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
    const { sync, compiled } = await this.#compile();
    await commitRun(this.#options.database.db, sync.id, compiled);
  }

  release(): Promise<void> {
    return releaseSync(this.#options.database.db, this.#run.syncId, this.#run.runId);
  }

  async close(): Promise<void> {
    await this.#dropSnapshot();
    this.#lock.release();
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
    if (this.#compiled === null) {
      const columns = await postgresSource
        .describeObject(sync.source, sync.object)
        .catch((error: unknown) => {
          if (!(error instanceof InvalidInput)) throw error;
          throw new RunFailure("CONFIG_INVALID", error.message, "Mend the model, apply, and trigger again.", {
            cause: error,
          });
        });
      this.#compiled = postgresSource.compile(sync, columns);
    }
    return { sync, compiled: this.#compiled };
  }

  async #dropSnapshot(): Promise<void> {
    const taken = this.#taken;
    this.#taken = null;
    await taken?.snapshot.close();
  }
}
