import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { LogCorrupt } from "../../src/domain/errors.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { waitForSequence } from "../../src/projections/checkpoint.ts";
import { listRefusedCommands } from "../../src/projections/commands.ts";
import { listConfigChanges } from "../../src/projections/configChanges.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { getDelivery, runProgress } from "../../src/projections/deliveries.ts";
import { searchDeliveries } from "../../src/projections/deliverySearch.ts";
import { STREAMS, type StreamName } from "../../src/projections/eventSource.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { getRun, listRuns } from "../../src/projections/runs.ts";
import { getSync, listSyncs } from "../../src/projections/syncs.ts";
import { listWebhooks } from "../../src/projections/webhooks.ts";
import { configHistory, deliveryHistory, EPOCH_MS, refusal, runHistory, stored } from "../support/events.ts";
import { testDatabase } from "../support/namespace.ts";
import { dump, empty } from "./dump.ts";
import { historyOfBothStreams, interleave } from "./histories.ts";

const { url } = await testDatabase({ migrated: true });
const { db, pool, close } = openDatabase(url);
const client = await pool.connect();
const streamCreated = new Date("2026-01-01T00:00:00.000Z");

afterAll(async () => {
  client.release();
  await close();
});
beforeEach(() => empty(pool));

const project = (stream: StreamName, events: readonly AnyEvent[], firstSequence = 1) =>
  projectBatch(client, { stream, streamCreated, events: stored(events, firstSequence) });

describe("a batch of runs", () => {
  test("tells a good run as completed with its counters and times", async () => {
    await project("runs", runHistory({ runId: 7011 }));
    expect(await getRun(db, 7011)).toMatchObject({
      status: "completed",
      state: "completed.success",
      version: 8,
      trigger_tag: "Manual",
      full_sync_reasons: ["first run", 'mapping "a\\b" changed'],
      source_record_count: 15,
      records_updated: 13,
      records_failed: 1,
      batches: 2,
      started_at: new Date(EPOCH_MS + 1000),
      completed_at: new Date(EPOCH_MS + 6000),
      updated_at: new Date(EPOCH_MS + 7000),
      error_code: null,
    });
  });

  test("tells queued, working, completed as the events come one by one", async () => {
    const statuses: string[] = [];
    for (const [index, event] of runHistory({ runId: 1 }).entries()) {
      await project("runs", [event], index + 1);
      statuses.push((await getRun(db, 1))!.status);
    }
    const working = Array.from({ length: 5 }, () => "working");
    expect(statuses).toEqual(["queued", ...working, "completed", "completed"]);
  });

  test("leaves counters that were never known null on a failed run", async () => {
    await project("runs", runHistory({ runId: 5, outcome: "emergency", phases: 2 }));
    expect(await getRun(db, 5)).toMatchObject({
      status: "failed",
      error_code: "SOURCE_TIMEOUT",
      records_processed: null,
      source_record_count: null,
    });
  });

  test("gives a sync the outcome of its last run, which a cancelled run leaves", async () => {
    await project("runs", configHistory({ kind: "sync", objectId: 88 }));
    expect((await getSync(db, 88))?.status).toBe("ready");
    await project("runs", runHistory({ runId: 1 }), 10);
    expect((await getSync(db, 88))?.status).toBe("up to date");
    await project("runs", runHistory({ runId: 2, outcome: "emergency" }), 20);
    expect((await getSync(db, 88))?.status).toBe("failing");
    await project("runs", runHistory({ runId: 3, outcome: "canceled" }), 30);
    expect(await getSync(db, 88)).toMatchObject({ status: "failing", last_run_id: 3, name: "sync 88" });
    expect((await listSyncs(db, { workspaceId: 12 })).map(({ id }) => id)).toEqual([88]);
    expect((await listRuns(db, { syncId: 88, limit: 2 })).map(({ id }) => id)).toEqual([3, 2]);
    expect((await listRuns(db, { syncId: 88, before: 2, limit: 2 })).map(({ id }) => id)).toEqual([1]);
  });

  test("keeps changes and refusals for auditors", async () => {
    const changes = configHistory({ kind: "webhook", objectId: 4, later: ["updated", "deleted"] });
    await project("runs", [...changes, refusal("c1"), refusal("c1")]);
    expect((await listConfigChanges(db, { limit: 9 })).map((row) => row.change)).toEqual([
      "deleted",
      "updated",
      "created",
    ]);
    expect(await listRefusedCommands(db, { workspaceId: 12, limit: 9 })).toHaveLength(1);
    expect(await listWebhooks(db)).toEqual([]);
  });
});

describe("a batch of deliveries", () => {
  test("tells attempts, the due time of the next and the end", async () => {
    const events = deliveryHistory({ deliveryId: "7011-1", retries: 2 });
    await project("deliveries", events.slice(0, 2));
    expect(await getDelivery(db, { targetKind: "destination", targetId: 3, id: "7011-1" })).toMatchObject({
      state: "retrying",
      attempts: 1,
      http_status: 503,
      error: "try 1 failed",
      ended_at: null,
      next_attempt_at: new Date(EPOCH_MS + 5e3),
    });
    await project("deliveries", events.slice(2), 3);
    const delivery = await getDelivery(db, { targetKind: "destination", targetId: 3, id: "7011-1" });
    expect(delivery).toMatchObject({
      state: "delivered",
      attempts: 3,
      http_status: 200,
      error: null,
      next_attempt_at: null,
      version: 4,
      ended_at: new Date(EPOCH_MS + 3e3),
    });
    expect(delivery?.attemptList.map((attempt) => attempt.http_status)).toEqual([503, null, 200]);
    expect(await runProgress(db, 7011)).toEqual({
      batches: 1,
      delivered: 1,
      dead: 0,
      retrying: 0,
      recordsDelivered: 7,
      recordsDead: 0,
    });
  });

  test("keeps what the last attempt left when a delivery is dropped", async () => {
    const shape = { targetKind: "webhook", targetId: 4, retries: 1, end: "dropped" } as const;
    await project("deliveries", deliveryHistory({ deliveryId: "a", ...shape }));
    const parted = deliveryHistory({ deliveryId: "b", ...shape });
    await project("deliveries", parted.slice(0, 2), 10);
    await project("deliveries", parted.slice(2), 12);
    const rows = await searchDeliveries(db, {
      targetKind: "webhook",
      targetId: 4,
      states: ["dead"],
      limit: 9,
    });
    expect(rows).toHaveLength(2);
    for (const row of rows) {
      expect(row).toMatchObject({
        http_status: 503,
        error: "try 1 failed",
        death_reason: "target_deleted",
        attempts: 1,
      });
    }
  });

  test("skips and counts events of a delivery whose beginning the log no longer holds", async () => {
    const lost = deliveryHistory({ deliveryId: "7-1", retries: 1 }).slice(1);
    const whole = deliveryHistory({ deliveryId: "7-2" });
    const outcome = await project("deliveries", [...lost, ...whole], 500);
    expect(outcome).toEqual({ outcome: "applied", checkpoint: 503, applied: 4, skipped: 2 });
    const { deliveries, attempts } = await dump(pool);
    expect([deliveries?.length, attempts?.length]).toEqual([1, 1]);
  });

  test("replaces a delivery that begins anew after its first life left the log", async () => {
    await project("deliveries", deliveryHistory({ deliveryId: "x", end: "open" }));
    await project("deliveries", deliveryHistory({ deliveryId: "x", startMs: EPOCH_MS + 9e6 }), 100);
    expect((await searchDeliveries(db, { limit: 9 })).map((row) => row.created_at.getTime())).toEqual([
      EPOCH_MS + 9e6,
    ]);
  });

  test("gives a webhook its last success and failure whichever stream comes first", async () => {
    const configuration = configHistory({ kind: "webhook", objectId: 4, later: ["updated"] });
    const deliveries = [
      ...deliveryHistory({ deliveryId: "a", targetKind: "webhook", targetId: 4, retries: 1 }),
      ...deliveryHistory({
        deliveryId: "b",
        targetKind: "webhook",
        targetId: 4,
        end: "exhausted",
        startMs: EPOCH_MS + 60_000,
      }),
    ];
    await project("runs", configuration);
    await project("deliveries", deliveries);
    const rows = await dump(pool);
    expect(await listWebhooks(db)).toMatchObject([
      {
        last_success_at: new Date(EPOCH_MS + 2000),
        last_failure_at: new Date(EPOCH_MS + 61_000),
        name: "webhook 4",
      },
    ]);
    await empty(pool);
    await project("deliveries", deliveries);
    expect(await listWebhooks(db)).toEqual([]);
    await project("runs", configuration);
    expect(await dump(pool)).toEqual(rows);
  });

  test("stores text that Postgres cannot, in a form it can", async () => {
    const [pending, failed] = deliveryHistory({ deliveryId: "n", retries: 1, end: "open" });
    const odd = {
      ...failed,
      data: { ...failed!.data, error: 'NUL \0, half \ud83d, "quoted" {a,b}\t\r\n\\N \\' },
    } as AnyEvent;
    await project("deliveries", [pending!, odd]);
    const [row] = await searchDeliveries(db, { limit: 1 });
    expect(row?.error).toBe('NUL \ufffd, half \ufffd, "quoted" {a,b}\t\r\n\\N \\');
  });
});

describe("the checkpoint", () => {
  const { runs, deliveries } = historyOfBothStreams();

  test("makes a batch that is read twice change nothing", async () => {
    await project("runs", runs);
    await project("deliveries", deliveries);
    const once = await dump(pool);
    expect(await project("deliveries", deliveries)).toMatchObject({ applied: 0 });
    await project("runs", runs.slice(3), 4);
    expect(await dump(pool)).toEqual(once);
  });

  test("rolls back with the rows when a batch fails half-way, so that going on gives the same rows", async () => {
    await project("deliveries", deliveries);
    const whole = await dump(pool);
    await empty(pool);
    const half = Math.floor(deliveries.length / 2);
    await project("deliveries", deliveries.slice(0, half));
    const before = await dump(pool);
    const broken = deliveries
      .slice(half)
      .map((event) => Object.assign({}, event, { time: "not an instant" }));
    await expect(project("deliveries", broken, half + 1)).rejects.toThrow("timestamp");
    expect(await dump(pool)).toEqual(before);
    await project("deliveries", deliveries.slice(half), half + 1);
    expect(await dump(pool)).toEqual(whole);
  });

  test("refuses a stream of another creation, and says what to do", async () => {
    await project("runs", runs);
    const before = await dump(pool);
    const foreign = {
      stream: "runs",
      streamCreated: new Date("2026-02-02T00:00:00Z"),
      events: stored(runs, 900),
    } as const;
    const refused = projectBatch(client, foreign);
    await expect(refused).rejects.toBeInstanceOf(LogCorrupt);
    await expect(refused).rejects.toThrow(/the log was replaced.*egret projections rebuild/);
    expect(await dump(pool)).toEqual(before);
  });

  test("refuses a batch that would leave a hole before it", async () => {
    await project("runs", runs.slice(0, 4));
    const ahead = { stream: "runs", streamCreated, events: stored(runs.slice(9), 10), after: 9 } as const;
    expect(await projectBatch(client, ahead)).toEqual({ outcome: "behind", checkpoint: 4 });
  });

  test("is waited for, but not for ever", async () => {
    const waiting = waitForSequence(db, { stream: "runs", sequence: 2, timeoutMs: 30_000 });
    await project("runs", runs.slice(0, 2));
    expect(await waiting).toBe(true);
    expect(await waitForSequence(db, { stream: "runs", sequence: 3, timeoutMs: 20 })).toBe(false);
  });
});

describe("random histories", () => {
  test("give the same rows in batches of any size as one by one", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat()), sizes, async (random, sizes) => {
        const draw = () => random.next().value as number;
        const { runs, deliveries } = historyOfBothStreams(draw);
        const streams = { runs: interleave(runs, draw), deliveries: interleave(deliveries, draw) };
        await empty(pool);
        for (const stream of STREAMS) {
          for (const [index, event] of streams[stream].entries()) await project(stream, [event], index + 1);
        }
        const oneByOne = await dump(pool);
        await empty(pool);
        for (const stream of STREAMS.toReversed()) {
          for (let at = 0, batch = 0; at < streams[stream].length; batch += 1) {
            const size = sizes[batch % sizes.length]!;
            await project(stream, streams[stream].slice(at, at + size), at + 1);
            at += size;
          }
        }
        expect(await dump(pool)).toEqual(oneByOne);
      }),
      { numRuns: 15 },
    );
  });
});
