import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getRun } from "../../src/projections/runs.ts";
import { onProgress, type RunProgress } from "../../src/runtime/hints.ts";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
const { connection, database } = egret.services;
let source: Client;
let destination: Receiver;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    "create table people as select n as id, 'person ' || n as name from generate_series(1, 200) n",
  );
  destination = await startReceiver((request) => ({
    delayMs: 20,
    status: request.body.includes('"unique_id":13,') ? 422 : 200,
  }));
  await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  ops: { type: webhook, url: "${destination.url}/rows", parallel_requests: 2, rate_limit_per_second: 1000 }
syncs:
  people: { source: warehouse, table: public.people, destination: ops, key: id }
`,
  );
});

afterAll(async () => {
  await source.end();
  await destination.close();
});

describe("progress of a run", { concurrent: false }, () => {
  test("is told as it goes: its step, rows read, changed, sent and rejected, the rate and the time left", async () => {
    const told: RunProgress[] = [];
    const run = { workspaceId: 1, syncId: 1, runId: 1 };
    const stop = onProgress(connection, run, (progress) => told.push(progress));
    const { runId } = await triggerAndWait(egret, { sync: "people" });
    stop();
    expect(runId).toBe(run.runId);
    const loading = told.filter(({ phase }) => phase === "loading");
    // Two hundred requests of 20 ms, two at a time: at least two seconds.
    expect(loading.length).toBeGreaterThan(5);
    expect(new Set(loading.map(({ current_step }) => current_step))).toEqual(
      new Set(["Loading data into destination service"]),
    );
    for (const progress of loading) expect(progress).toMatchObject({ rows_read: 200, records_planned: 200 });
    const done = loading.map(
      ({ records_sent, records_failed }) => (records_sent ?? 0) + (records_failed ?? 0),
    );
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBeLessThanOrEqual(200);
    expect(loading.at(-1)?.records_failed).toBe(1);
    const measured = loading.filter(({ rate_per_second }) => (rate_per_second ?? 0) > 0);
    expect(measured.length).toBeGreaterThan(0);
    for (const { rate_per_second, time_left_ms, records_sent, records_failed } of measured) {
      const left = 200 - (records_sent ?? 0) - (records_failed ?? 0);
      expect(time_left_ms).toBeCloseTo((left / (rate_per_second ?? 1)) * 1_000, 3);
    }
  });

  test("stands in the read model by the words of the API, until it has completed", async () => {
    await source.query("update people set name = name || '!'");
    const gate = Promise.withResolvers<undefined>();
    destination.behave(async () => {
      await gate.promise;
      return {};
    });
    const { runId } = await triggerAndWait(egret, { sync: "people" }, { until: ["sync.planned"] });
    const row = () => getRun(database.db, runId);
    await expect.poll(row, { timeout: 20_000 }).toMatchObject({
      status: "working",
      run_kind: "normal",
      current_step: "Loading data into destination service",
    });
    gate.resolve(undefined);
    await expect.poll(row, { timeout: 20_000 }).toMatchObject({ status: "completed", current_step: null });
    await source.query("alter table people rename column name to full_name");
    const failed = await triggerAndWait(egret, { sync: "people" });
    const step = "Checking source and destination configuration";
    await expect
      .poll(() => getRun(database.db, failed.runId), { timeout: 20_000 })
      .toMatchObject({ status: "failed", current_step: step });
  });
});
