import { pino } from "pino";
import { Registry } from "prom-client";
import { afterAll, expect, test } from "vitest";
import { CONSUMERS } from "../../src/log/topology.ts";
import { WaitingRoom } from "../../src/log/waitingRoom.ts";
import { openDatabase } from "../../src/projections/database.ts";
import type { PendingData } from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { registerServiceMetrics } from "../../src/runtime/telemetry/serviceMetrics.ts";
import { startWorkQueue } from "../../src/runtime/workQueue.ts";
import { testLog } from "../support/log.ts";
import { testDatabase } from "../support/namespace.ts";

const { connection, log } = await testLog();
const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
afterAll(() => database.close());
const intake = new DeliveryIntake(log);

function metricsOf(parts: { maxAgeMs?: number } = {}): () => Promise<string> {
  const registry = new Registry();
  registerServiceMetrics(registry, { connection, database, maxAgeMs: 0, ...parts });
  return () => registry.metrics();
}

const pending = (number: number): PendingData => ({
  workspace_id: 1,
  target_kind: "webhook",
  target_id: 14,
  delivery_id: `7-${number}-14`,
  sync_id: 2,
  sync_run_id: 7,
  fact: "created",
  event: "sync.started",
  event_id: null,
  retry_delays_ms: [4_000],
  timeout_ms: 1_000,
  records: 0,
  payload: "{}",
  payload_sha256: "",
});

test("the backlog counts what no worker has taken, what one holds, and what waits for its target", async () => {
  const show = metricsOf();
  for (let number = 0; number < 5; number++) await intake.create(pending(number));
  expect(await show()).toContain('egret_delivery_backlog{queue="first"} 5');

  // A worker that takes two and keeps them: they have not ended.
  const taken = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let held = 0;
  const queue = startWorkQueue({
    connection,
    stream: connection.topology.eventStreams.deliveries,
    consumer: CONSUMERS.firstAttempts,
    concurrency: () => 2,
    logger: pino({ level: "silent" }),
    handle: async () => {
      if (++held === 2) taken.resolve();
      await release.promise;
      return { kind: "again", delayMs: 60_000 };
    },
  });
  await taken.promise;
  const text = await show();
  expect(text).toContain('egret_delivery_backlog{queue="first"} 5');
  expect(text).toContain('egret_consumer_lag_messages{consumer="delivery_first",state="unread"} 3');
  expect(text).toContain('egret_consumer_lag_messages{consumer="delivery_first",state="held"} 2');
  const closed = queue.close();
  release.resolve();
  await closed;

  const room = new WaitingRoom(connection);
  afterAll(() => room.close());
  await room.put({
    workspaceId: 1,
    target: { kind: "webhook", id: 14 },
    deliveryId: "7-9-14",
    version: 1,
  });
  expect(await show()).toContain('egret_delivery_backlog{queue="waiting"} 1');
});

test("the lag of the read models is what the log has and they do not", async () => {
  const show = metricsOf();
  const { lastSequence } = await log.info("deliveries");
  expect(lastSequence).toBeGreaterThan(0);
  expect(await show()).toContain(`egret_projection_lag_events{stream="deliveries"} ${lastSequence}`);
  await database.pool.query("insert into egret_read.checkpoints values ('deliveries', $1, now())", [
    lastSequence,
  ]);
  expect(await show()).toContain('egret_projection_lag_events{stream="deliveries"} 0');
});

test("endpoints are counted by the state of their circuit", async () => {
  await database.pool.query(`insert into egret_read.endpoints
    (target_kind, target_id, workspace_id, state, version, consecutive_failures, outages, updated_at)
    select 'webhook', n, 1, case when n < 3 then 'open' else 'healthy' end, 1, 0, 0, now() from generate_series(1, 5) n`);
  const text = await metricsOf()();
  expect(text).toContain('egret_endpoints{target="webhook",state="open"} 2');
  expect(text).toContain('egret_endpoints{target="webhook",state="healthy"} 3');
  expect(text).toContain('egret_endpoints{target="destination",state="open"} 0');
});

test("one reading serves all scrapes of its time", async () => {
  const show = metricsOf({ maxAgeMs: 3_600_000 });
  const before = await show();
  await intake.create(pending(100));
  expect(await show()).toBe(before);
});

test("a service that does not answer leaves its gauges out, and the rest stands", async () => {
  const registry = new Registry();
  const gone = openDatabase(url.replace(/:\d+\//, ":1/"));
  afterAll(() => gone.close());
  registerServiceMetrics(registry, { connection, database: gone });
  const text = await registry.metrics();
  expect(text).toContain('egret_delivery_backlog{queue="first"}');
  expect(text).not.toMatch(/^egret_projection_lag_events\{/m);
});
