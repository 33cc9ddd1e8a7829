/** What the tests of syncs over the API share: a warehouse, a model, two destinations, and bodies as clients send them. */
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, expect } from "vitest";
import type { EgretSettings } from "../../../src/main.ts";
import { type TestApi, testApi } from "../../support/api.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret } from "../../support/egret.ts";
import { testDatabase } from "../../support/namespace.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";

/** The scene. */
export interface SyncScene {
  egret: TestEgret;
  api: TestApi;
  applied: AppliedYaml;
  receiver: Receiver;
  /** Ids of what egret.yaml declares. */
  ids: { warehouse: number; people: number; ops: number; crm: number };
  warehouse(sql: string): Promise<void>;
  /** Makes a sync of the model to the webhook destination, with changes of its body. */
  make(changes?: object): Promise<number>;
  /** The body of such a sync. */
  body(changes?: object): Record<string, unknown>;
}

/** Columns: id, name, email, plan, seen_at. */
export async function openSyncScene(settings: Partial<EgretSettings> = {}): Promise<SyncScene> {
  const egret = await testEgret(settings);
  const { url: warehouseUrl } = await testDatabase();
  const warehouse = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: warehouseUrl });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await warehouse(`create table people (id int primary key, name text, email text, plan text, seen_at timestamptz);
    insert into people select n, 'Person ' || n, 'P' || n || '@EXAMPLE.ORG', 'trial', '2026-02-03T00:00:00Z'
    from generate_series(1, 3) n`);
  const receiver = await startReceiver();
  afterAll(() => receiver.close());
  const applied = await applyYaml(
    egret,
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouseUrl}" }
models:
  people: { source: warehouse, query: "select id, name, email, plan, seen_at from people" }
destinations:
  ops: { type: webhook, url: "${receiver.url}/ops", batch_size: 100, rate_limit_per_second: 5000 }
  crm: { type: http_request, url: "${receiver.url}", path: "/crm/{{ record['unique_id'] }}", delete_path: "/crm/{{ record['unique_id'] }}" }
`,
  );
  const ids = {
    warehouse: await applied.id("source", "warehouse"),
    people: await applied.id("model", "people"),
    ops: await applied.id("destination", "ops"),
    crm: await applied.id("destination", "crm"),
  };
  const api = await testApi(egret);
  const body = (changes: object = {}) => ({
    label: "People to ops",
    operation: "upsert",
    source_attributes: { connection_id: ids.warehouse, object: { type: "model", id: ids.people } },
    destination_attributes: { connection_id: ids.ops, object: "webhook" },
    mappings: [KEY, { from: { type: "column", data: "name" }, to: "name" }],
    ...changes,
  });
  return {
    egret,
    api,
    applied,
    receiver,
    ids,
    warehouse,
    body,
    make: async (changes) => {
      const { status, body: made } = await api.post("/syncs", body(changes));
      expect(made).toEqual({ status: "created", data: { sync_id: expect.any(Number) } });
      expect(status).toBe(200);
      return made.data.sync_id;
    },
  };
}

/** A mapping of the key. */
export const KEY = {
  from: { type: "column", data: "id" },
  to: "unique_id",
  is_primary_identifier: true,
};

/** Waits until GET says that a run has ended; null in `completed_at` until then. */
export async function endOf(api: TestApi, runId: number, timeoutMs = 30_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { status, body } = await api.get(`/sync_runs/${runId}`);
    expect([status, body.status]).toEqual([200, "success"]);
    if (body.data.status !== "working") return body.data;
    expect(body.data.completed_at).toBe(null);
    await delay(25);
    if (performance.now() > deadline)
      throw new Error(`run ${runId} does not end: ${JSON.stringify(body.data)}`);
  }
}
