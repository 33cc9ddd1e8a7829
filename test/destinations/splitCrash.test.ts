import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testSettings, triggerAndWait } from "../support/egret.ts";
import { type EgretProcess, startEgretProcess } from "../support/egretProcess.ts";
import { testDatabase } from "../support/namespace.ts";
import { byHeader, openScenario, type Scenario } from "../support/scenario.ts";

const ROWS = 400;
const BATCH_SIZE = 50;
const PARALLEL_REQUESTS = 4;
/** So many requests come between two crashes. */
const PER_CRASH = 15;
const CRASHES = 4;
const warehouse = await testDatabase();
const settings = await testSettings();
let scenario: Scenario;
let worker: EgretProcess;

beforeAll(async () => {
  scenario = await openScenario({ settings, warehouseUrl: warehouse.url, rows: ROWS, batchSize: BATCH_SIZE });
  worker = await startEgretProcess(settings);
});
afterAll(() => scenario.close());

const isBad = (id: number) => id % 50 === 13;
const idsOf = (body: Buffer) =>
  (JSON.parse(body.toString()) as { data: { unique_id: number }[] }).data.map(({ unique_id: id }) => id);

describe("kill -9 again and again while batches are being halved", () => {
  test("I4, I5, I9: loses no row and counts none twice; what is sent again is the same request", async () => {
    const { destination, services } = scenario;
    destination.behave(({ body }) => ({ delayMs: 10, status: idsOf(body).some(isBad) ? 422 : 200 }));
    const run = triggerAndWait(scenario, { sync: "people_to_ops" }, { timeoutMs: 110_000 });
    for (let crash = 1; crash <= CRASHES; crash += 1) {
      const before = destination.requests.length;
      await destination.waitFor(before + PER_CRASH, 30_000);
      await worker.kill9();
      worker = await startEgretProcess(settings);
    }
    const { runId, events } = await run;
    const bad = Array.from({ length: ROWS }, (_, n) => n + 1).filter(isBad);
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      status: "ok",
      records_processed: ROWS,
      records_updated: ROWS - bad.length,
      records_failed: bad.length,
    });

    const byKey = byHeader(destination.requests, "idempotency-key");
    const accepted = [...byKey.values()].flatMap(([first]) => {
      const ids = idsOf(first?.body ?? Buffer.alloc(0));
      return ids.some(isBad) ? [] : ids;
    });
    // Each row in exactly one accepted request, however often that was sent.
    expect(accepted.length).toBe(new Set(accepted).size);
    expect(accepted.length).toBe(ROWS - bad.length);
    const repeated = [...byKey.values()].filter((requests) => requests.length > 1);
    expect(repeated.length).toBeLessThanOrEqual(PARALLEL_REQUESTS * CRASHES);
    for (const requests of repeated) {
      for (const request of requests)
        expect(request.body.equals(requests[0]?.body ?? Buffer.alloc(0))).toBe(true);
    }

    const { rows } = await services.database.pool.query<{
      outcome: string | null;
      records: number;
    }>(
      `select outcome, sum(records)::bigint as records from egret.batches
       where run_id = $1 and outcome is distinct from 'split' group by outcome order by outcome`,
      [runId],
    );
    expect(rows).toEqual([
      { outcome: "accepted", records: ROWS - bad.length },
      { outcome: "rejected", records: bad.length },
    ]);
    const left = await services.database.pool.query("select from egret.batches where outcome is null");
    expect(left.rowCount).toBe(0);
  }, 150_000);
});
