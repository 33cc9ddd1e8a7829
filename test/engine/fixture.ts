/** A source, a sync on it and our database for one test file, and the steps of a run without the runtime. */
import pg from "pg";
import { afterAll } from "vitest";
import type { Mapping, Sync, SyncObject } from "../../src/domain/configuration.ts";
import { type SyncOptions, syncOptionsSchema } from "../../src/domain/syncOptions.ts";
import { acceptTrigger, releaseSync } from "../../src/engine/claims.ts";
import type { InMemoryLimit } from "../../src/engine/diff.ts";
import { type Plan, planRun } from "../../src/engine/plan.ts";
import { readBatch, settleBatches } from "../../src/engine/settle.ts";
import { takeSnapshot } from "../../src/engine/snapshot.ts";
import { commitRun, resolveFullSync } from "../../src/engine/syncState.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { testDatabase } from "../support/namespace.ts";

/** Parts of a sync that a test chooses. */
export interface SyncParts {
  sourceUrl: string;
  syncId?: number;
  object?: SyncObject;
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
    operation: "upsert",
    mappings: parts.mappings ?? [
      { column: "id", to: "unique_id", key: true },
      { column: "plan", to: "plan" },
    ],
    options: syncOptionsSchema.parse(parts.options ?? {}),
    source: { id: 1, workspaceId: 1, name: "warehouse", type: "postgres", url: parts.sourceUrl },
    destination: {
      id: 5,
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

/** Servers and steps for one test file. */
export interface EngineFixture {
  database: OpenDatabase;
  sourceUrl: string;
  /** Runs SQL on the source. */
  onSource(sql: string, values?: unknown[]): Promise<pg.QueryResult>;
  /** Trigger, check, snapshot, plan. */
  plan(sync: Sync, options?: { force?: boolean; inMemory?: InMemoryLimit }): Promise<PlannedRun>;
  /** Every record of a plan's open batches, in order. */
  records(runId: number): Promise<Record<string, unknown>[]>;
  /** Settles every batch alike, commits and releases. */
  end(sync: Sync, run: PlannedRun, outcome?: "accepted" | "rejected"): Promise<void>;
}

/** Opens everything; it closes after the file's last test. */
export async function openEngine(): Promise<EngineFixture> {
  const ours = await testDatabase({ migrated: true });
  const { url: sourceUrl } = await testDatabase();
  const database = openDatabase(ours.url);
  const warehouse = new pg.Pool({ connectionString: sourceUrl, max: 1 });
  afterAll(async () => {
    await database.close();
    await warehouse.end();
  });
  let commands = 0;

  async function plan(
    sync: Sync,
    options: { force?: boolean; inMemory?: InMemoryLimit } = {},
  ): Promise<PlannedRun> {
    commands += 1;
    const commandId = `command-${sync.id}-${commands}`;
    const { runId } = await acceptTrigger(database.db, { workspaceId: 1, commandId, syncId: sync.id });
    const compiled = postgresSource.compile(
      sync,
      await postgresSource.describeObject(sync.source, sync.object),
    );
    const { fullSync, reasons } = await resolveFullSync(database.db, sync, compiled, options.force ?? false);
    const snapshot = await postgresSource.openSnapshot(sync.source);
    try {
      const { sourceRecordCount } = await takeSnapshot({ database, snapshot, compiled, runId });
      const runAt = new Date("2026-02-03T10:00:00.123Z");
      const { inMemory } = options;
      const request = { database, snapshot, compiled, sync, runId, runAt, sourceRecordCount, fullSync };
      const planned = await planRun(inMemory === undefined ? request : { ...request, inMemory });
      return { ...planned, runId, fullSync, reasons };
    } finally {
      await snapshot.close();
    }
  }

  async function records(runId: number): Promise<Record<string, unknown>[]> {
    const found: Record<string, unknown>[] = [];
    for (let batchNo = 1; ; batchNo += 1) {
      const batch = await readBatch(database.db, runId, batchNo);
      if (batch === null) return found;
      const { data } = JSON.parse(batch.body?.toString("utf8") ?? '{"data":[]}') as {
        data: Record<string, unknown>[];
      };
      for (const record of data) found.push(record);
    }
  }

  async function end(
    sync: Sync,
    run: PlannedRun,
    outcome: "accepted" | "rejected" = "accepted",
  ): Promise<void> {
    const batches = Array.from({ length: run.batches }, (_, index) => index + 1);
    await settleBatches(
      database,
      batches.map((batchNo) => ({ runId: run.runId, batchNo, outcome, statusMessage: null })),
    );
    const compiled = postgresSource.compile(
      sync,
      await postgresSource.describeObject(sync.source, sync.object),
    );
    await commitRun(database.db, sync.id, compiled);
    await releaseSync(database.db, sync.id, run.runId);
  }

  return { database, sourceUrl, onSource: (sql, values) => warehouse.query(sql, values), plan, records, end };
}
