import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SyncOptions } from "../../../src/domain/syncOptions.ts";
import { acceptTrigger, releaseSync } from "../../../src/engine/claims.ts";
import { publishCommand } from "../../../src/log/commands.ts";
import type { LogConnection } from "../../../src/log/connection.ts";
import { type OpenDatabase, openDatabase } from "../../../src/projections/database.ts";
import { type Scheduler, startScheduler, tickId } from "../../../src/runtime/triggers/scheduler.ts";
import { planTicks, takeDueTick } from "../../../src/runtime/triggers/scheduleTicks.ts";
import { createTestClock, type TestClock } from "../../support/clock.ts";
import { testLog } from "../../support/log.ts";
import { testDatabase } from "../../support/namespace.ts";
import { editSync, makeSync, makeWorkspace, queuedCommands } from "./parts.ts";

const NOON = new Date("2026-02-03T12:00:00Z");
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const logger = { info: () => undefined, warn: () => undefined };

describe("the scheduler", () => {
  let database: OpenDatabase;
  let connection: LogConnection;
  let clock: TestClock;
  let running: Scheduler[] = [];
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url, { maxConnections: 10 });
    ({ connection } = await testLog());
    await makeWorkspace(database);
  });
  beforeEach(() => {
    clock = createTestClock(NOON);
  });
  afterEach(async () => {
    await Promise.all(running.map((scheduler) => scheduler.stop()));
    running = [];
    await sql`delete from egret.syncs`.execute(database.db);
  });
  afterAll(() => database.close());

  async function start(count = 1): Promise<void> {
    const { db } = database;
    for (let n = 0; n < count; n++) running.push(startScheduler({ db, connection, logger, clock }));
    await clock.waitForSleepers(count);
  }
  /** Time goes on, and each scheduler has looked since. */
  async function pass(ms: number): Promise<void> {
    await clock.advance(ms);
    await clock.waitForSleepers(running.length);
    await clock.advance(SECOND_MS);
    await clock.waitForSleepers(running.length);
  }
  const ticksOf = async (syncId: number) =>
    (await queuedCommands(connection))
      .filter(({ payload }) => payload.sync === syncId)
      .map(({ payload }) => payload.scheduled_execution_time);
  const hourly: Partial<SyncOptions> = { schedule: { frequency: "hourly", minute: 30 } };

  test("fires each tick once, with its time and its schedule in words, though several run", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await start(3);
    expect(await ticksOf(sync)).toEqual([]);
    await pass(30 * MINUTE_MS - SECOND_MS);
    await pass(HOUR_MS);
    await pass(HOUR_MS);
    expect(await ticksOf(sync)).toEqual([
      "2026-02-03T12:30:00.000Z",
      "2026-02-03T13:30:00.000Z",
      "2026-02-03T14:30:00.000Z",
    ]);
    const first = (await queuedCommands(connection)).find(({ payload }) => payload.sync === sync);
    expect(first).toEqual({
      id: `tick-${sync}-20260203T123000000Z`,
      payload: {
        sync,
        requested_via: "Schedule",
        reason: "Hourly at minute 30",
        scheduled_execution_time: "2026-02-03T12:30:00.000Z",
      },
    });
  });

  test("shares the ticks of many syncs among several schedulers, and fires each once", async () => {
    const ids: number[] = [];
    for (let n = 0; n < 40; n++) ids.push(await makeSync(database, `many${n}`, hourly, NOON));
    await start(4);
    await pass(30 * MINUTE_MS);
    const ticks = await Promise.all(ids.map(ticksOf));
    expect(ticks).toEqual(ids.map(() => ["2026-02-03T12:30:00.000Z"]));
  });

  test("catches up the latest of the missed ticks when it starts, and no other", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await start();
    await Promise.all(running.map((scheduler) => scheduler.stop()));
    running = [];
    await clock.advance(5 * HOUR_MS);
    await start();
    expect(await ticksOf(sync)).toEqual(["2026-02-03T16:30:00.000Z"]);
    await pass(29 * MINUTE_MS);
    expect(await ticksOf(sync)).toHaveLength(1);
    await pass(MINUTE_MS);
    expect(await ticksOf(sync)).toEqual(["2026-02-03T16:30:00.000Z", "2026-02-03T17:30:00.000Z"]);
  });

  test("catches up a tick that came between an edit and its first start", async () => {
    const sync = await makeSync(database, "a", hourly, new Date("2026-02-03T10:00:00Z"));
    await start();
    expect(await ticksOf(sync)).toEqual(["2026-02-03T11:30:00.000Z"]);
  });

  test("counts an edited schedule from the edit", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await start();
    await pass(10 * MINUTE_MS);
    await editSync(
      database,
      sync,
      { schedule: { frequency: "daily", hour: 12, minute: 5 } },
      new Date(clock.now()),
    );
    await pass(HOUR_MS);
    expect(await ticksOf(sync)).toEqual([]);
    await pass(23 * HOUR_MS);
    expect(await ticksOf(sync)).toEqual(["2026-02-04T12:05:00.000Z"]);
  });

  test("leaves the next tick where it is when other options change", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await start();
    await pass(29 * MINUTE_MS);
    await editSync(
      database,
      sync,
      { ...hourly, overlap_policy: "queue_one" },
      new Date("2026-02-03T20:00:00Z"),
    );
    await pass(MINUTE_MS);
    expect(await ticksOf(sync)).toEqual(["2026-02-03T12:30:00.000Z"]);
  });

  test("fires nothing of a paused sync, and catches nothing up when it is resumed", async () => {
    const sync = await makeSync(database, "a", { ...hourly, paused: true }, NOON);
    await start();
    await pass(3 * HOUR_MS);
    await editSync(database, sync, hourly, new Date(clock.now()));
    await pass(SECOND_MS);
    expect(await ticksOf(sync)).toEqual([]);
    await pass(HOUR_MS);
    expect(await ticksOf(sync)).toEqual(["2026-02-03T15:30:00.000Z"]);
  });

  test("fires nothing of a sync that an operator paused", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await sql`update egret.syncs set paused = true where id = ${sync}`.execute(database.db);
    await start();
    await pass(3 * HOUR_MS);
    expect(await ticksOf(sync)).toEqual([]);
  });

  test("does not fire a tick again that was published before a crash", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    await planTicks(database.db);
    await clock.advance(30 * MINUTE_MS + 7);
    const crash = takeDueTick(database.db, new Date(clock.now()), async ({ workspaceId, syncId, at }) => {
      const payload = { sync: syncId, requested_via: "Schedule", scheduled_execution_time: at.toISOString() };
      await publishCommand(connection, { workspaceId, verb: "trigger", payload, id: tickId(syncId, at) });
      throw new Error("killed between the command and the next tick");
    });
    await expect(crash).rejects.toThrow("killed");
    await start();
    expect(await ticksOf(sync)).toEqual(["2026-02-03T12:30:00.000Z"]);
    await pass(HOUR_MS);
    expect(await ticksOf(sync)).toEqual(["2026-02-03T12:30:00.000Z", "2026-02-03T13:30:00.000Z"]);
  });

  test("a tick that comes twice, long after the log forgot it, is one run", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    const tick = { workspaceId: 1, commandId: tickId(sync, NOON), syncId: sync, onBusy: "skip" } as const;
    const first = await acceptTrigger(database.db, tick);
    if (first.kind !== "accepted") throw new Error(first.kind);
    await releaseSync(database.db, sync, first.runId);
    expect(await acceptTrigger(database.db, tick)).toEqual({ ...first, duplicate: true });
  });

  test("goes on with all others when a stored schedule cannot be read", async () => {
    const bad = await makeSync(
      database,
      "bad",
      { schedule: { frequency: "expression", cron_expression: "no" } },
      NOON,
    );
    const good = await makeSync(database, "good", hourly, NOON);
    await start();
    await pass(HOUR_MS);
    expect(await ticksOf(bad)).toEqual([]);
    expect(await ticksOf(good)).toEqual(["2026-02-03T12:30:00.000Z"]);
  });

  test("goes on after our Postgres did not answer", async () => {
    const sync = await makeSync(database, "a", hourly, NOON);
    const warnings: string[] = [];
    let isDown = true;
    const db = new Proxy(database.db, {
      get: (target, key) => {
        if (isDown) throw new Error("down");
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const telling = {
      info: () => undefined,
      warn: (_fields: object, message: string) => warnings.push(message),
    };
    running.push(startScheduler({ db, connection, logger: telling, clock }));
    await clock.waitForSleepers(1);
    await pass(31 * MINUTE_MS);
    isDown = false;
    await pass(SECOND_MS);
    expect(warnings).toContain("scheduler.waiting");
    expect(await ticksOf(sync)).toEqual(["2026-02-03T12:30:00.000Z"]);
  });

  describe("of a continuous sync", () => {
    const continuous: Partial<SyncOptions> = { schedule: { frequency: "continuous" } };
    // Its runs are timed by our Postgres: here the test's clock begins with the real one.
    beforeEach(() => {
      clock = createTestClock(Date.now());
    });

    test("fires every minute, and not before the run before has ended", async () => {
      const sync = await makeSync(database, "a", continuous, new Date(clock.now()));
      await start();
      await pass(30 * SECOND_MS);
      expect(await ticksOf(sync)).toHaveLength(0);
      await pass(30 * SECOND_MS);
      expect(await ticksOf(sync)).toHaveLength(1);
      const run = await acceptTrigger(database.db, { workspaceId: 1, commandId: "c1", syncId: sync });
      await pass(10 * MINUTE_MS);
      expect(await ticksOf(sync)).toHaveLength(1);
      if (run.kind !== "accepted") throw new Error(run.kind);
      await releaseSync(database.db, sync, run.runId);
      await pass(SECOND_MS);
      expect(await ticksOf(sync)).toHaveLength(2);
    });

    test("fires a minute after the start of a run that something else caused", async () => {
      const sync = await makeSync(database, "a", continuous, new Date(clock.now()));
      await start();
      await sql`insert into egret.sync_states (sync_id, last_began_at)
        values (${sync}, ${new Date(clock.now() + 50 * SECOND_MS)})`.execute(database.db);
      await pass(70 * SECOND_MS);
      expect(await ticksOf(sync)).toHaveLength(0);
      await pass(45 * SECOND_MS);
      expect(await ticksOf(sync)).toHaveLength(1);
    });
  });
});
