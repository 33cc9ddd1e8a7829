import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { type Projector, startProjector } from "../../src/projections/projector.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { deliveryHistory, stored } from "../support/events.ts";
import { endLockHolders, lockHolders, testDatabase } from "../support/namespace.ts";
import { ArraySource } from "./arraySource.ts";
import { dump, empty } from "./dump.ts";
import { historyOfBothStreams } from "./histories.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const { pool } = database;
const { runs, deliveries } = historyOfBothStreams();
const running: Projector[] = [];

afterAll(() => database.close());
beforeEach(() => empty(pool));
afterEach(async () => {
  await Promise.all(running.splice(0).map((projector) => projector.close()));
});

function start(
  source: ArraySource,
  options: { log?: ReturnType<typeof quiet>; onCorrupt?: () => void } = {},
): Projector {
  const projector = startProjector({ source, database, log: quiet(), maxBatch: 3, ...options });
  running.push(projector);
  return projector;
}

function quiet() {
  return { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
}

const full = () => new ArraySource({ runs: stored(runs), deliveries: stored(deliveries) });

async function caughtUp(projector: Projector): Promise<void> {
  expect(await projector.waitFor("runs", runs.length, 20_000)).toBe(true);
  expect(await projector.waitFor("deliveries", deliveries.length, 20_000)).toBe(true);
}

/** The rows that one uninterrupted pass gives. */
async function expectedRows() {
  const client = await pool.connect();
  const { created: streamCreated } = new ArraySource();
  await projectBatch(client, { stream: "runs", streamCreated, events: stored(runs) });
  await projectBatch(client, { stream: "deliveries", streamCreated, events: stored(deliveries) });
  client.release();
  const rows = await dump(pool);
  await empty(pool);
  return rows;
}

describe("a projector", () => {
  test("that is stopped between batches and started again gives the same rows", async () => {
    const rows = await expectedRows();
    const source = full();
    const first = start(source);
    await first.waitFor("deliveries", 4, 20_000);
    await first.close();
    await caughtUp(start(source));
    expect(await dump(pool)).toEqual(rows);
  });

  test("beside another one gives the same rows, and takes over when the other ends", async () => {
    const rows = await expectedRows();
    const source = new ArraySource();
    const log = quiet();
    const first = start(source);
    const second = start(source, { log });
    source.append("runs", stored(runs));
    source.append("deliveries", stored(deliveries.slice(0, 5)));
    await first.waitFor("deliveries", 5, 20_000);
    await first.close();
    source.append("deliveries", stored(deliveries).slice(5));
    await caughtUp(second);
    expect(log.info).toHaveBeenCalledWith({ stream: "deliveries" }, "projecting");
    expect(await dump(pool)).toEqual(rows);
  });

  test("goes on from its place when its connection dies and when the log fails", async () => {
    const rows = await expectedRows();
    const source = new ArraySource({ runs: stored(runs), deliveries: stored(deliveries.slice(0, 5)) });
    const projector = start(source);
    await projector.waitFor("deliveries", 5, 20_000);
    expect(await endLockHolders(pool)).toBeGreaterThan(0);
    let failures = 2;
    source.beforeBatch = () => {
      failures -= 1;
      if (failures >= 0) throw new Error("connection to the log lost");
    };
    source.append("deliveries", stored(deliveries).slice(5));
    await caughtUp(projector);
    expect(await dump(pool)).toEqual(rows);
  });

  test("stands still and says why when the log lost its end", async () => {
    await caughtUp(start(full()));
    await running.splice(0)[0]?.close();
    const shorter = new ArraySource({ runs: stored(runs.slice(0, 3)), deliveries: stored(deliveries) });
    const log = quiet();
    const stopped = Promise.withResolvers<void>();
    start(shorter, { log, onCorrupt: () => stopped.resolve() });
    await stopped.promise;
    expect(log.error.mock.calls[0]?.[1]).toMatch(/runs stream ends at sequence 3.*egret projections rebuild/);
  });

  test("leaves no lock and no connection behind when it is closed", async () => {
    await caughtUp(start(full()));
    await running.splice(0)[0]?.close();
    // The server frees the locks of a session a moment after the client has closed it.
    await expect.poll(() => lockHolders(pool)).toEqual([]);
    expect(pool.totalCount).toBe(pool.idleCount);
  });
});

describe("a rebuild", () => {
  test("gives identical rows, under identical names, rights and indexes (I1)", async () => {
    await caughtUp(start(full()));
    const before = await dump(pool);
    await pool.query("grant select on egret_read.runs to public");
    const shape = () =>
      pool.query(`select relname, relkind, reloptions, relacl::text, pg_get_indexdef(pg_class.oid) as definition
        from pg_class where relnamespace = 'egret_read'::regnamespace order by relname`);
    const { rows: shapeBefore } = await shape();
    const progress = vi.fn();
    const result = await rebuildReadModels({ source: full(), database, onProgress: progress });
    expect(result.events).toBe(runs.length + deliveries.length);
    expect(progress).toHaveBeenLastCalledWith({
      stream: "deliveries",
      events: deliveries.length,
      totalEvents: deliveries.length,
    });
    expect(await dump(pool)).toEqual(before);
    expect((await shape()).rows).toEqual(shapeBefore);
    await rebuildReadModels({ source: full(), database });
    expect(await dump(pool)).toEqual(before);
  });

  test("lets a running projector go on without a restart", async () => {
    const rows = await expectedRows();
    const source = new ArraySource({ runs: stored(runs), deliveries: stored(deliveries.slice(0, 5)) });
    const projector = start(source);
    await projector.waitFor("deliveries", 5, 20_000);
    source.beforeBatch = (stream) => {
      source.beforeBatch = () => undefined;
      // Arrives while the rebuild reads.
      if (stream === "runs") source.append("deliveries", stored(deliveries).slice(5, 9));
    };
    await rebuildReadModels({ source, database });
    expect(await projector.waitFor("deliveries", 9, 20_000)).toBe(true);
    source.append("deliveries", stored(deliveries).slice(9));
    await caughtUp(projector);
    expect(await dump(pool)).toEqual(rows);
  });

  test("that is interrupted leaves the live rows, and can be run again", async () => {
    await caughtUp(start(full()));
    await running.splice(0)[0]?.close();
    const before = await dump(pool);
    const broken = full();
    broken.beforeBatch = (stream) => {
      if (stream === "deliveries") throw new Error("connection to the log lost");
    };
    await expect(rebuildReadModels({ source: broken, database })).rejects.toThrow(/old ones stand.*log lost/);
    const killed = full();
    let killing: Promise<unknown> | undefined;
    killed.beforeBatch = () => {
      killed.beforeBatch = () => undefined;
      killing = endLockHolders(pool);
      throw new Error("died");
    };
    await expect(rebuildReadModels({ source: killed, database })).rejects.toThrow("old ones stand");
    // Not awaited, it could end the session of the next rebuild.
    await killing;
    const stopping = new AbortController();
    const stopped = rebuildReadModels({
      source: full(),
      database,
      signal: stopping.signal,
      onProgress: () => stopping.abort(new Error("stopped")),
    });
    await expect(stopped).rejects.toThrow("stopped");
    expect(await dump(pool)).toEqual(before);
    await rebuildReadModels({ source: full(), database });
    expect(await dump(pool)).toEqual(before);
  });

  test("refuses to drop what somebody built on the tables, and names it", async () => {
    await pool.query("create view public.mine as select id from egret_read.runs");
    const refused = rebuildReadModels({ source: full(), database });
    await expect(refused).rejects.toThrow(/mine depends on/);
    await pool.query("drop view public.mine");
  });

  test("accepts a log that was replaced", async () => {
    await caughtUp(start(full()));
    await running.splice(0)[0]?.close();
    const other: AnyEvent[] = deliveryHistory({ deliveryId: "1-1" });
    const source = new ArraySource({ deliveries: stored(other) });
    source.created = new Date("2026-03-03T00:00:00.000Z");
    await rebuildReadModels({ source, database });
    const rows = await dump(pool);
    expect([rows["runs"]?.length, rows["deliveries"]?.length]).toEqual([0, 1]);
    expect(await start(source).waitFor("deliveries", 2, 20_000)).toBe(true);
  });
});
