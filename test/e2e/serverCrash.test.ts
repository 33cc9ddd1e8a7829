import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type EmbeddedNatsServer, startNatsServer } from "../../src/embedded/natsServer.ts";
import { type EmbeddedPostgres, startPostgres } from "../../src/embedded/postgres.ts";
import { type EgretSettings, type RunningEgret, startEgret } from "../../src/main.ts";
import { settingsFor, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { byHeader, openScenario, type Scenario, sentRows } from "../support/scenario.ts";

const ROWS = 600;
const BATCH_SIZE = 10;
/** The warehouse stands on the run's shared Postgres: it is ours that crashes, not the source. */
const warehouse = await testDatabase();
const log = { info() {}, warn() {} };
let folder: string;
let nats: EmbeddedNatsServer;
let postgres: EmbeddedPostgres;
let settings: EgretSettings;
let scenario: Scenario;
let egret: RunningEgret;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "egret-crash-"));
  nats = await startNatsServer({
    binary: inject("servers").natsBinary,
    storeDir: path.join(folder, "nats"),
    log,
  });
  postgres = await startPostgres({ dataDir: path.join(folder, "postgres"), log });
  settings = settingsFor({ databaseUrl: postgres.url(), natsUrl: nats.url });
  scenario = await openScenario({ settings, warehouseUrl: warehouse.url, rows: ROWS, batchSize: BATCH_SIZE });
  egret = await startEgret(settings);
});

afterAll(async () => {
  await egret?.close();
  await scenario?.close();
  await nats?.stop();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function crashDuringRun(crash: () => Promise<void>, name: string): Promise<void> {
  const { destination } = scenario;
  destination.behave({ delayMs: 30 });
  await scenario.warehouse(`update people set name = '${name} ' || id`);
  const before = destination.requests.length;
  const run = triggerAndWait(scenario, { sync: "people_to_ops" }, { timeoutMs: 90_000 });
  await destination.waitFor(before + 20);
  await crash();
  const { runId, events } = await run;
  const requests = destination.requests.slice(before);

  expect(events.at(-1)?.type).toBe("sync.success");
  expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
  const rows = sentRows(requests);
  expect(rows.size).toBe(ROWS);
  expect(rows.get("7")).toMatchObject({ name: `${name} 7` });
  const keys = byHeader(requests, "idempotency-key");
  expect(keys.size).toBe(ROWS / BATCH_SIZE);
  expect([...keys.keys()].every((key) => key.startsWith(`${runId}-`))).toBe(true);
  const repeated = [...keys.values()].filter((sent) => sent.length > 1);
  expect(repeated.length).toBeLessThanOrEqual(8);
  for (const sent of repeated) expect(sent[1]?.body.equals(sent[0]?.body ?? Buffer.alloc(0))).toBe(true);

  destination.behave({});
  const next = await triggerAndWait(scenario, { sync: "people_to_ops" });
  expect(next.events.find(({ type }) => type === "sync.planned")?.data).toMatchObject({
    source_record_updates: 0,
  });
}

describe("a crash in the middle of a run", () => {
  test("I4: kill -9 of nats-server, restarted after: the run completes and nothing is lost", async () => {
    await crashDuringRun(async () => {
      await nats.kill9();
      await nats.restart();
    }, "after nats");
  });

  test("I4: kill -9 of Postgres, restarted after: the run completes and nothing is lost", async () => {
    await crashDuringRun(async () => {
      await postgres.kill9();
      await postgres.restart();
    }, "after postgres");
  });

  test("I4: every lifecycle event of the runs reached the subscriber", async () => {
    const { subscriber, services } = scenario;
    const wanted = 4 * 4;
    const distinct = () => new Set(subscriber.requests.map(({ headers }) => headers["x-event-id"])).size;
    await subscriber.waitFor(() => distinct() === wanted, 60_000);
    // The read model follows the log a moment later.
    const statuses = async () => {
      const runs = await services.database.db.selectFrom("egret_read.runs").select("status").execute();
      return runs.map(({ status }) => status);
    };
    await expect.poll(statuses, { timeout: 20_000 }).toEqual(Array<string>(4).fill("completed"));
  });
});
