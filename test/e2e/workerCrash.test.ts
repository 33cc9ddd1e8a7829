import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONSUMERS } from "../../src/log/topology.ts";
import { testSettings, triggerAndWait } from "../support/egret.ts";
import { type EgretProcess, startEgretProcess } from "../support/egretProcess.ts";
import { testDatabase } from "../support/namespace.ts";
import { byHeader, openScenario, type Scenario, sentRows } from "../support/scenario.ts";

const ROWS = 500;
const BATCH_SIZE = 10;
const PARALLEL_REQUESTS = 4;
const warehouse = await testDatabase();
const settings = await testSettings();
let scenario: Scenario;
let worker: EgretProcess;

beforeAll(async () => {
  scenario = await openScenario({ settings, warehouseUrl: warehouse.url, rows: ROWS, batchSize: BATCH_SIZE });
  worker = await startEgretProcess(settings);
});
afterAll(() => scenario.close());

describe("kill -9 of the worker", () => {
  test("I4, I5: in the middle of a run with 50 batches, the next worker ends the run and every row arrives", async () => {
    const { destination } = scenario;
    destination.behave({ delayMs: 30 });
    const run = triggerAndWait(scenario, { sync: "people_to_ops" });
    await destination.waitFor(20);
    await worker.kill9();
    const sentBefore = destination.requests.length;
    expect(sentBefore).toBeLessThan(ROWS / BATCH_SIZE);
    worker = await startEgretProcess(settings);
    const { runId, events } = await run;

    expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)?.type).toBe("sync.success");
    expect(events.find(({ type }) => type === "sync.loaded")?.data).toMatchObject({
      records_processed: ROWS,
      records_updated: ROWS,
    });
    expect(sentRows(destination.requests).size).toBe(ROWS);

    const byKey = byHeader(destination.requests, "idempotency-key");
    expect([...byKey.keys()].sort()).toEqual(
      Array.from({ length: 50 }, (_, n) => `${runId}-${n + 1}`).sort(),
    );
    const repeated = [...byKey.values()].filter((requests) => requests.length > 1);
    expect(repeated.length).toBeLessThanOrEqual(PARALLEL_REQUESTS);
    for (const requests of repeated) {
      expect(requests).toHaveLength(2);
      expect(requests[1]?.body.equals(requests[0]?.body ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test("state is what was accepted: the next run finds nothing to send", async () => {
    const before = scenario.destination.requests.length;
    const { events } = await triggerAndWait(scenario, { sync: "people_to_ops" });
    expect(events.find(({ type }) => type === "sync.planned")?.data).toMatchObject({
      source_record_updates: 0,
      batches: 0,
    });
    expect(scenario.destination.requests).toHaveLength(before);
  });

  test("I6: a retry that is pending over a restart comes no earlier than it was due, with the same bytes (I9)", async () => {
    const { subscriber, services } = scenario;
    const before = subscriber.requests.length;
    subscriber.behave((_request, attempt) => ({ status: attempt === before + 1 ? 500 : 200 }));
    await triggerAndWait(scenario, { sync: "people_to_ops" });
    const eventId = String((await subscriber.waitFor(before + 1))[before]?.headers["x-event-id"]);
    const retrying = await waitForDelivery(eventId, "retrying");
    await worker.kill9();
    worker = await startEgretProcess(settings);
    const attempts = () => subscriber.requests.filter(({ headers }) => headers["x-event-id"] === eventId);
    await subscriber.waitFor(() => attempts().length === 2, 20_000);

    const [first, second] = attempts();
    const dueAt = retrying.next_attempt_at?.getTime() ?? 0;
    expect(second?.at).toBeGreaterThanOrEqual(dueAt);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(4_000);
    expect(second?.headers["x-delivery-attempt"]).toBe("2");
    expect(second?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true);
    expect(second?.headers["x-signature"]).toBe(first?.headers["x-signature"]);
    const delivered = await waitForDelivery(eventId, "delivered");
    expect(delivered).toMatchObject({ attempts: 2, payload: first?.body.toString() });

    async function waitForDelivery(id: string, state: string) {
      const deadline = Date.now() + 20_000;
      for (;;) {
        const { db } = services.database;
        const row = await db
          .selectFrom("egret_read.deliveries")
          .selectAll()
          .where("event_id", "=", id)
          .executeTakeFirst();
        if (row?.state === state) return row;
        if (Date.now() > deadline) throw new Error(`the delivery is ${row?.state}, not ${state}`);
      }
    }
  });

  test("I13: SIGTERM lets the request under way finish, records it, and exits 0", async () => {
    const { destination, warehouse: edit } = scenario;
    await edit("update people set name = name || '!' where id <= 3");
    destination.behave({ delayMs: 1_500 });
    const before = destination.requests.length;
    const run = triggerAndWait(scenario, { sync: "people_to_ops" });
    await destination.waitFor(before + 1);
    const code = await worker.terminate();
    expect(code).toBe(0);
    worker = await startEgretProcess(settings);
    const { events } = await run;
    expect(events.at(-1)?.type).toBe("sync.success");
    // Nothing was cut off, so nothing is sent twice.
    expect(destination.requests).toHaveLength(before + 1);
  });

  test("work that is done leaves the queue: no run is taken up again", async () => {
    const { connection } = scenario.services;
    const stream = connection.topology.eventStreams.runs;
    const pending = async () => (await connection.jsm.consumers.info(stream, CONSUMERS.runs)).num_ack_pending;
    await expect.poll(pending, { timeout: 10_000 }).toBe(0);
    expect(worker.output()).not.toContain("LOG_CORRUPT");
  });
});
