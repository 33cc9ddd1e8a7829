import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { lockRebuild, unlockRebuild } from "../../src/projections/advisoryLocks.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { dayOf, listExchangeDays, makeExchangeDays } from "../../src/projections/exchangeDays.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { listRunRanges } from "../../src/projections/runPartitions.ts";
import { applyRetention, startRetention } from "../../src/runtime/retention.ts";
import { ArraySource } from "../projections/arraySource.ts";
import { dump, empty } from "../projections/dump.ts";
import { createTestClock } from "../support/clock.ts";
import { deliveryHistory, stored } from "../support/events.ts";
import { testDatabase } from "../support/namespace.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const { pool } = database;

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 0, 1, 6);
const rules = { deliveryDays: 30, exchangeDays: 14, recordDays: 30 };
const streamCreated = new ArraySource().created;
let clock = createTestClock(START_MS);

afterAll(() => database.close());
beforeEach(async () => {
  clock = createTestClock(START_MS);
  await empty(pool);
  const { rows } = await pool.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits join pg_class on pg_class.oid = inhrelid
     where relkind = 'r'`,
  );
  for (const { name } of rows) await pool.query(`drop table ${name}`);
  await pool.query(
    "truncate egret.batches, egret.plans, egret.invalid_rows, egret.accepted_commands, egret.sync_states",
  );
});

const retain = (options: { isDryRun?: boolean } = {}) =>
  applyRetention({ database, rules, now: clock.now, ...options });

/** Ten runs a day with a delivery each, one retried; days of a whole log. */
function history(days: number) {
  const runs = Array.from({ length: days * 10 }, (_, index) => index + 1);
  return stored(
    runs.flatMap((runId) =>
      deliveryHistory({
        deliveryId: `${runId}-1`,
        runId,
        retries: runId % 2,
        startMs: START_MS + (runId - 1) * (DAY_MS / 10),
      }),
    ),
  );
}

async function project(events: ReturnType<typeof stored>): Promise<void> {
  const client = await pool.connect();
  try {
    for (let from = 0; from < events.length; from += 40) {
      const batch = events.slice(from, from + 40);
      const result = await projectBatch(client, { stream: "deliveries", streamCreated, events: batch });
      expect(result).toMatchObject({ outcome: "applied", skipped: 0 });
    }
  } finally {
    client.release();
  }
}

const runsLeft = async (table: string) =>
  (await pool.query<{ run_id: number }>(`select distinct run_id from ${table} order by 1`)).rows.map(
    ({ run_id }) => run_id,
  );

describe("partitions of deliveries", () => {
  test("come to be about as many as days, and leave no run without one", async () => {
    await project(history(60));
    const ranges = await listRunRanges(pool, "egret_read");
    for (const [index, { from, to }] of ranges.entries()) {
      expect(to).toBeGreaterThan(from);
      if (index > 0) expect(from).toBe(ranges[index - 1]?.to);
    }
    expect(ranges.length).toBeGreaterThan(10);
    expect(ranges.length).toBeLessThan(60);
    expect(await runsLeft("egret_read.deliveries")).toHaveLength(600);
  });

  test("are made for a run far behind or far ahead of the others, in one batch", async () => {
    const of = (runId: number) => deliveryHistory({ deliveryId: `${runId}-1`, runId, retries: 1 });
    await project(stored(of(5_000)));
    await project(stored([...of(1_000_000), ...of(3), ...of(5_001), ...of(999_999)], 100));
    expect(await runsLeft("egret_read.attempts")).toEqual([3, 5_000, 5_001, 999_999, 1_000_000]);
  });
});

describe("retention of deliveries", () => {
  test("drops exactly the partitions in which every delivery is old, with their attempts", async () => {
    await project(history(60));
    await clock.advance(62 * DAY_MS);
    const before = clock.now() - 30 * DAY_MS;
    const ranges = await listRunRanges(pool, "egret_read");
    const endOf = (runId: number) => START_MS + (runId - 1) * (DAY_MS / 10) + ((runId % 2) + 1) * 1_000;
    const kept = ranges.filter(({ to }) => endOf(Math.min(to - 1, 600)) >= before);
    expect(kept.length).toBeGreaterThan(1);
    expect(kept.length).toBeLessThan(ranges.length);
    const report = await retain();
    expect(report?.partitions.map(({ isDropped }) => isDropped)).toEqual(
      Array.from({ length: ranges.length - kept.length }, () => true),
    );
    expect(await listRunRanges(pool, "egret_read")).toEqual(kept);
    const runs = Array.from({ length: 600 }, (_, index) => index + 1).filter((run) => run >= kept[0]!.from);
    expect(await runsLeft("egret_read.deliveries")).toEqual(runs);
    expect(await runsLeft("egret_read.attempts")).toEqual(runs);
    expect((await retain())?.partitions).toEqual([]);
  });

  test("keeps a partition for one delivery that began again lately", async () => {
    const late = deliveryHistory({ deliveryId: "3-9", runId: 3, startMs: START_MS + 50 * DAY_MS });
    await project([...history(8), ...stored(late, 10_000)]);
    await clock.advance(60 * DAY_MS);
    const ranges = await listRunRanges(pool, "egret_read");
    await retain();
    expect(await listRunRanges(pool, "egret_read")).toEqual(ranges.slice(0, 1));
  });

  test("says in a dry run what would go, and leaves it", async () => {
    await project(history(60));
    await clock.advance(62 * DAY_MS);
    const ranges = await listRunRanges(pool, "egret_read");
    const rows = await dump(pool);
    const foretold = await retain({ isDryRun: true });
    expect(await dump(pool)).toEqual(rows);
    expect(await listRunRanges(pool, "egret_read")).toEqual(ranges);
    expect(foretold?.partitions.length).toBeGreaterThan(0);
    expect(await retain()).toEqual(foretold);
  });

  test("leaves what a rebuild of the log's last days makes too, row for row (I1)", async () => {
    const events = history(60);
    await project(events);
    await clock.advance(62 * DAY_MS);
    await retain();
    const rows = await dump(pool);
    const shape = () =>
      pool.query(
        `select relname, relkind, reloptions, pg_get_expr(relpartbound, oid) as bounds,
           case when relkind in ('i', 'I') then pg_get_indexdef(oid) end as definition
         from pg_class where relnamespace = 'egret_read'::regnamespace order by relname`,
      );
    const { rows: shapeBefore } = await shape();
    const firstKept = (await listRunRanges(pool, "egret_read"))[0]!.from;
    const inLog = events.filter(
      ({ event }) => "sync_run_id" in event.data && (event.data.sync_run_id ?? 0) >= firstKept,
    );
    await rebuildReadModels({ source: new ArraySource({ deliveries: inLog }), database });
    const rebuilt = await dump(pool);
    expect(rebuilt["deliveries"]).toEqual(rows["deliveries"]);
    expect(rebuilt["attempts"]).toEqual(rows["attempts"]);
    expect((await shape()).rows).toEqual(shapeBefore);
  });

  test("waits for a reader and for a rebuild until the next time", async () => {
    await project(history(2));
    await clock.advance(60 * DAY_MS);
    const other = await pool.connect();
    await other.query("begin; select * from egret_read.deliveries");
    expect((await retain())?.partitions).toMatchObject([{ isDropped: false }]);
    await other.query("commit");
    await lockRebuild(other, 10_000);
    expect((await retain())?.partitions).toMatchObject([{ isDropped: false }]);
    await unlockRebuild(other);
    other.release();
    expect(await runsLeft("egret_read.deliveries")).toHaveLength(20);
    expect((await retain())?.partitions).toMatchObject([{ isDropped: true }]);
    expect(await runsLeft("egret_read.deliveries")).toEqual([]);
  });
});

describe("retention of exchanges", () => {
  const names = async () => (await listExchangeDays(pool)).map(({ day }) => day - dayOf(START_MS));

  test("drops whole days that are old, and makes today and tomorrow ahead", async () => {
    const client = await pool.connect();
    await makeExchangeDays(
      client,
      [-20, -16, -15, -14, -13].map((day) => dayOf(START_MS) + day),
    );
    client.release();
    const { partitions } = (await retain({ isDryRun: true }))!;
    expect(await names()).toEqual([-20, -16, -15, -14, -13]);
    // The 15th day before ended less than 14 days and six hours ago: every row of it is old, none of the next has to be.
    expect((await retain())?.partitions).toEqual(partitions);
    expect(await names()).toEqual([-14, -13, 0, 1]);
  });
});

describe("retention of runs", () => {
  async function acceptRun(runId: number, atMs: number, isActive = false): Promise<void> {
    const at = new Date(atMs).toISOString();
    await pool.query("insert into egret.accepted_commands values (1, $1, $2, $3)", [`c${runId}`, runId, at]);
    await pool.query(
      `insert into egret.batches (run_id, batch_no, sync_id, destination_id, records, body_sha256, outcome, settled_at)
       select $1, n, 8, 3, 1, 'x', 'accepted', $2 from generate_series(1, 3) as n`,
      [runId, at],
    );
    await pool.query("insert into egret.plans values ($1, 3, 3, 0, 3)", [runId]);
    await pool.query("insert into egret.invalid_rows values ($1, 'k', 'DUPLICATE', 2)", [runId]);
    if (isActive) await pool.query("insert into egret.sync_states values ($1, $1, null)", [runId]);
  }

  test("deletes what is left of old runs, and nothing of a run that goes on", async () => {
    await acceptRun(1, START_MS - 40 * DAY_MS);
    await acceptRun(2, START_MS - 40 * DAY_MS, true);
    await acceptRun(3, START_MS - 30 * DAY_MS - 1);
    await acceptRun(4, START_MS - 30 * DAY_MS);
    const foretold = await retain({ isDryRun: true });
    expect(foretold?.rows).toEqual([
      { table: "egret.invalid_rows", rows: 2 },
      { table: "egret.batches", rows: 6 },
      { table: "egret.plans", rows: 2 },
      { table: "egret.accepted_commands", rows: 2 },
    ]);
    expect(await runsLeft("egret.plans")).toEqual([1, 2, 3, 4]);
    expect(await retain()).toEqual(foretold);
    for (const table of ["batches", "plans", "invalid_rows", "accepted_commands"]) {
      expect(await runsLeft(`egret.${table}`)).toEqual([2, 4]);
    }
  });

  test.each([
    { recordDays: 14, left: [3, 4] },
    { recordDays: 90, left: [2, 3, 4] },
    { recordDays: 0, left: [4] },
  ])("takes rows after $recordDays days, but none later than deliveries", async ({ recordDays, left }) => {
    await acceptRun(1, START_MS - 40 * DAY_MS);
    await acceptRun(2, START_MS - 20 * DAY_MS);
    await acceptRun(3, START_MS - 10 * DAY_MS);
    await acceptRun(4, START_MS - 20 * DAY_MS, true);
    await pool.query("update egret.batches set keys = '{k}', body = '[1]'");
    const kept = { ...rules, recordDays };
    const foretold = await applyRetention({ database, rules: kept, now: clock.now, isDryRun: true });
    expect(await applyRetention({ database, rules: kept, now: clock.now })).toEqual(foretold);
    const rows = 3 * (4 - left.length);
    expect(foretold?.rows).toContainEqual({ table: "egret.batches (rows)", rows });
    expect(await runsLeft("egret.invalid_rows")).toEqual(left);
    expect(await runsLeft("egret.batches")).toEqual([2, 3, 4]);
    const { rows: full } = await pool.query<{ run_id: number }>(
      "select distinct run_id from egret.batches where keys is not null or body is not null order by 1",
    );
    expect(full.map(({ run_id }) => run_id)).toEqual(left);
    // Looked through once, a run is not looked through again.
    const { rows: plans } = await pool.query<{ run_id: number }>(
      "select run_id from egret.plans where records_dropped_at is null order by 1",
    );
    expect(plans.map(({ run_id }) => run_id)).toEqual(left);
    const again = await applyRetention({ database, rules: kept, now: clock.now });
    expect(again?.rows).toEqual([]);
  });

  test("remembers commands for a week, however short deliveries are kept", async () => {
    for (const days of [8, 6, 2, 0]) await acceptRun(10 - days, START_MS - days * DAY_MS);
    await applyRetention({
      database,
      rules: { deliveryDays: 1, exchangeDays: 1, recordDays: 1 },
      now: clock.now,
    });
    expect(await runsLeft("egret.plans")).toEqual([10]);
    expect(await runsLeft("egret.accepted_commands")).toEqual([4, 8, 10]);
  });

  test("goes on in chunks until nothing old is left, though no young run is there", async () => {
    await acceptRun(1, START_MS - 40 * DAY_MS);
    await pool.query(
      `insert into egret.invalid_rows select 1, n::text, 'INVALID', 1 from generate_series(1, 12000) as n`,
    );
    expect((await retain())?.rows).toContainEqual({ table: "egret.invalid_rows", rows: 12_001 });
    expect(await runsLeft("egret.accepted_commands")).toEqual([]);
  });
});

describe("the job", () => {
  test("purges at start and again, says what it dropped, and leaves no lock behind", async () => {
    await project(history(2));
    await clock.advance(60 * DAY_MS);
    const logger = { info: vi.fn(), warn: vi.fn() };
    const job = startRetention({ database, rules, now: clock.now, logger, intervalMs: 5 });
    const told = (message: string) =>
      logger.info.mock.calls.filter(([, said]) => said === message).map(([fields]) => fields as object);
    await expect.poll(() => told("retention.dropped"), { timeout: 20_000 }).toHaveLength(1);
    await project(
      stored(deliveryHistory({ deliveryId: "900-1", runId: 900, startMs: START_MS + DAY_MS }), 9_000),
    );
    await expect.poll(() => told("retention.dropped"), { timeout: 20_000 }).toHaveLength(2);
    await job.stop();
    expect(told("retention.dropped")[0]).toMatchObject({ partition: expect.stringMatching(/deliveries_0_/) });
    expect(logger.warn).not.toHaveBeenCalled();
    // The server frees the lock of a session a moment after the client has closed it.
    await expect.poll(() => retain(), { timeout: 20_000 }).not.toBeNull();
  });

  test("leaves it to the one process that is at it", async () => {
    const other = await pool.connect();
    await other.query("select pg_advisory_lock($1, 4)", [0x65_67_72_74]);
    expect(await retain()).toBeNull();
    other.release(true);
    await expect.poll(() => retain(), { timeout: 20_000 }).not.toBeNull();
  });

  test("tells what went wrong and tries again", async () => {
    const broken = { ...database, pool: { connect: vi.fn(() => Promise.reject(new Error("away"))) } };
    const logger = { info: vi.fn(), warn: vi.fn() };
    const job = startRetention({ database: broken as never, rules, logger, intervalMs: 1 });
    await expect
      .poll(() => broken.pool.connect.mock.calls.length, { timeout: 20_000 })
      .toBeGreaterThanOrEqual(2);
    await job.stop();
    expect(logger.warn.mock.calls[0]?.[1]).toBe("retention.failed");
  });
});
