import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testSettings, triggerAndWait } from "../support/egret.ts";
import { type EgretProcess, startEgretProcess } from "../support/egretProcess.ts";
import { testDatabase } from "../support/namespace.ts";
import { openScenario, type Scenario } from "../support/scenario.ts";

/** Enough to have the heap at its working size. */
const SMALL = 60_000;
const LARGE = 900_000;
const warehouse = await testDatabase();
const settings = await testSettings();
let scenario: Scenario;
let worker: EgretProcess;

beforeAll(async () => {
  scenario = await openScenario({ settings, warehouseUrl: warehouse.url, rows: SMALL, batchSize: 500 });
  worker = await startEgretProcess(settings);
});
afterAll(() => scenario.close());

/** The most memory that the process ever had, MB; the kernel counts it. */
async function peakMegabytes(): Promise<number> {
  const status = await readFile(`/proc/${worker.pid}/status`, "utf8");
  return (Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024) / 1e6;
}

/** The limit, in millions of bytes, for 1,000,000 rows and for 5,000,000 alike; measured here: 212. */
const LIMIT_MB = 300;
/** Room for the collector's moods; measured: 10. Objects of each row that outlived a wait for Postgres made it 300. */
const GROWTH_MB = 70;

test.skipIf(!existsSync("/proc/self/status"))(
  "I10: fifteen times the rows do not need much more memory",
  async () => {
    await triggerAndWait(scenario, { sync: "people_to_ops" });
    const small = await peakMegabytes();
    await scenario.warehouse(
      `insert into people select n, 'Person ' || n from generate_series(${SMALL + 1}, ${LARGE}) n`,
    );
    const { events } = await triggerAndWait(scenario, { sync: "people_to_ops" });
    expect(events.find(({ type }) => type === "sync.loaded")?.data).toMatchObject({
      records_updated: LARGE - SMALL,
    });
    const large = await peakMegabytes();
    expect(large).toBeLessThan(LIMIT_MB);
    expect(large - small).toBeLessThan(GROWTH_MB);
  },
);
