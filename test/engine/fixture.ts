/** A source, a sync on it and our database for one test file, and the steps of a run without the runtime. */
import pg from "pg";
import { afterAll } from "vitest";
import type { Mapping, Operation, Sync, SyncObject } from "../../src/domain/configuration.ts";
import { type SyncOptions, syncOptionsSchema } from "../../src/domain/syncOptions.ts";
import { bringState } from "../../src/engine/advancedMove.ts";
import { relayBeforeCommit } from "../../src/engine/advancedRelay.ts";
import { readHome, rowsTable } from "../../src/engine/advancedState.ts";
import { acceptTrigger, releaseSync } from "../../src/engine/claims.ts";
import type { InMemoryLimit } from "../../src/engine/diff.ts";
import { type Plan, planRun } from "../../src/engine/plan.ts";
import { readBatch, settleBatches } from "../../src/engine/settle.ts";
import { type TakenSnapshot, takeSnapshot } from "../../src/engine/snapshot.ts";
import { commitRun, type RunMode, resolveRun } from "../../src/engine/syncState.ts";
import { type BatchOutcome, type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import type { CompiledSync, SourceSnapshot } from "../../src/sources/source.ts";
import { testDatabase } from "../support/namespace.ts";

/** Parts of a sync that a test chooses. */
export interface SyncParts {
  sourceUrl: string;
  syncId?: number;
  object?: SyncObject;
  operation?: Operation;
  destinationId?: number;
  mappings?: Mapping[];
  batchSize?: number;
  options?: Partial<SyncOptions>;
}

/** A sync of table public.people by its column id, to a webhook that is never called here. */
export function makeSync(parts: SyncParts): Sync {
  return {
    id: parts.syncId ?? 1,
    workspaceId: 1,
    name: "people",
    label: null,
    object: parts.object ?? { type: "table", schema: "public", table: "people" },
    operation: parts.operation ?? "upsert",
    mappings: parts.mappings ?? [
      { column: "id", to: "unique_id", key: true },
      { column: "plan", to: "plan" },
    ],
    options: syncOptionsSchema.parse(parts.options ?? {}),
    source: { id: 1, workspaceId: 1, name: "warehouse", type: "postgres", url: parts.sourceUrl },
    destination: {
      id: parts.destinationId ?? 5,
      workspaceId: 1,
      name: "Ops hook",
      type: "webhook",
      settings: {
        url: "http://127.0.0.1:1/",
        method: "POST",
        use_bulk_upload: true,
        wrap_data: true,
        batch_size: parts.batchSize ?? 100,
        auth_token_header: "Authorization",
        timeout_seconds: 30,
        parallel_requests: 4,
        rate_limit_per_second: null,
        test_method: "post",
      },
      secrets: {},
    },
  };
}

/** A plan with what is needed to look at it. */
export interface PlannedRun extends Plan {
  runId: number;
  fullSync: boolean;
  reasons: string[];
}

/** What a test may ask of a plan. */
export interface PlanOptions {
  force?: boolean;
  inMemory?: InMemoryLimit;
  allowDeletes?: boolean;
}

/** One batch of a plan as a receiver would see it. */
export interface SentBatch {
  batchNo: number;
  /** `changed` or `deleted`. */
  operation: string;
  data: Record<string, unknown>[];
}

/** Servers and steps for one test file. */
export interface EngineFixture {
  database: OpenDatabase;
  sourceUrl: string;
  /** Runs SQL on the source. */
  onSource(sql: string, values?: unknown[]): Promise<pg.QueryResult>;
  /** Trigger, check, snapshot, plan. */
  plan(sync: Sync, options?: PlanOptions): Promise<PlannedRun>;
  /** The batches of a plan that are open. */
  sent(runId: number): Promise<SentBatch[]>;
  /** Every record of a plan's open batches, in order. */
  records(runId: number): Promise<Record<string, unknown>[]>;
  /** Settles every batch alike, or each as it is told, commits and releases; `fails` leaves the commit out. */
  end(
    sync: Sync,
    run: PlannedRun,
    outcome?: BatchOutcome | ((batch: SentBatch) => BatchOutcome | null),
    options?: { fails?: boolean },
  ): Promise<void>;
  /** Keys of the state, in order. */
  state(syncId: number): Promise<string[]>;
}

/** Where the syncs of a fixture have their state, unless a test says otherwise. */
export type Home = "basic" | "advanced";

/** Each test of the engine that is about states holds for both. */
export const HOMES: readonly Home[] = ["basic", "advanced"];

/** The sync, its state in the source or in our Postgres. */
export function withHome(sync: Sync, home: Home): Sync {
  return { ...sync, source: { ...sync.source, stateSchema: home === "advanced" ? "egret" : null } };
}

/** Opens everything; it closes after the file's last test. */
export async function openEngine({ home }: { home?: Home } = {}): Promise<EngineFixture> {
  const ours = await testDatabase({ migrated: true });
  const { url: sourceUrl } = await testDatabase();
  const database = openDatabase(ours.url);
  const warehouse = new pg.Pool({ connectionString: sourceUrl, max: 1 });
  afterAll(async () => {
    await database.close();
    await warehouse.end();
  });
  let commands = 0;

  async function plan(asked: Sync, options: PlanOptions = {}): Promise<PlannedRun> {
    const sync = home === undefined ? asked : withHome(asked, home);
    commands += 1;
    const commandId = `command-${sync.id}-${commands}`;
    const { runId } = (await acceptTrigger(database.db, { workspaceId: 1, commandId, syncId: sync.id })) as {
      runId: number;
    };
    try {
      return await planClaimed(sync, runId, options);
    } catch (error) {
      await releaseSync(database.db, sync.id, runId);
      throw error;
    }
  }

  async function planClaimed(sync: Sync, runId: number, options: PlanOptions): Promise<PlannedRun> {
    const { force = false, ...rest } = options;
    const { compiled, mode, snapshot, taken } = await openSnapshot({ database, sync, runId, force });
    try {
      const runAt = new Date("2026-02-03T10:00:00.123Z");
      const { fullSync, reasons } = mode;
      const request = { database, snapshot, compiled, sync, runId, runAt, taken, mode, fullSync };
      const planned = await planRun({ ...request, ...rest });
      return { ...planned, runId, fullSync, reasons };
    } finally {
      await snapshot.close();
    }
  }

  async function sent(runId: number): Promise<SentBatch[]> {
    const found: SentBatch[] = [];
    for (let batchNo = 1; ; batchNo += 1) {
      const batch = await readBatch(database.pool, runId, batchNo);
      if (batch === null) return found;
      if (batch.body === null) continue;
      const body = JSON.parse(batch.body.toString("utf8")) as Omit<SentBatch, "batchNo">;
      found.push({ batchNo, operation: body.operation, data: body.data });
    }
  }

  async function records(runId: number): Promise<Record<string, unknown>[]> {
    return (await sent(runId)).flatMap(({ data }) => data);
  }

  async function end(
    sync: Sync,
    run: PlannedRun,
    outcome: BatchOutcome | ((batch: SentBatch) => BatchOutcome | null) = "accepted",
    { fails = false }: { fails?: boolean } = {},
  ): Promise<void> {
    const decide = typeof outcome === "function" ? outcome : () => outcome;
    const settlements = (await sent(run.runId)).flatMap((batch) => {
      const decided = decide(batch);
      const { batchNo } = batch;
      const settled = { runId: run.runId, batchNo, statusMessage: null, syncId: sync.id };
      return decided === null ? [] : [{ ...settled, outcome: decided }];
    });
    await settleBatches(database, settlements);
    if (!fails) {
      await relayBeforeCommit(database, sync.source, sync.id, []);
      await commitRun(database.db, sync.id, run.runId);
    }
    await releaseSync(database.db, sync.id, run.runId);
  }

  async function state(syncId: number): Promise<string[]> {
    const there = await readHome(database.db, syncId);
    if (there === null) {
      const { rows } = await database.pool.query<{ key: string }>(
        `select key from egret_state.rows_${syncId} order by key`,
      );
      return rows.map((row) => row.key);
    }
    const { source } = makeSync({ sourceUrl });
    await relayBeforeCommit(database, { ...source, id: there.sourceId }, syncId, []);
    const { rows } = await warehouse.query<{ key: string }>(
      `select key from ${rowsTable(there.schema, syncId)} order by key`,
    );
    return rows.map((row) => row.key);
  }

  return {
    database,
    sourceUrl,
    onSource: (sql, values) => warehouse.query(sql, values),
    plan,
    sent,
    records,
    end,
    state,
  };
}

/** A snapshot that was taken for a run, and what a plan needs beside it; close it. */
export async function openSnapshot(run: {
  database: OpenDatabase;
  sync: Sync;
  runId: number;
  force?: boolean;
}): Promise<{ compiled: CompiledSync; mode: RunMode; snapshot: SourceSnapshot; taken: TakenSnapshot }> {
  const { database, sync, runId, force = false } = run;
  const compiled = postgresSource.compile(
    sync,
    await postgresSource.describeObject(sync.source, sync.object),
  );
  const mode = await resolveRun(database.db, sync, compiled, force);
  const home = await bringState({ database, sync, compiled, mode });
  const snapshot = await postgresSource.openSnapshot(sync.source);
  try {
    const taken = await takeSnapshot({ database, snapshot, compiled, sync, mode, home, runId });
    return { compiled, mode, snapshot, taken };
  } catch (error) {
    await snapshot.close();
    throw error;
  }
}
