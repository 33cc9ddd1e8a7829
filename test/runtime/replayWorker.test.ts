import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { DELIVERY_MACHINE } from "../../machines/delivery.ts";
import type { AnyEvent, EgretEvent, EventData } from "../../src/domain/event.ts";
import { LIFECYCLE_EVENTS } from "../../src/domain/lifecycle.ts";
import type { ReplayedDeliveries, ReplayWanted } from "../../src/domain/replay.ts";
import { NEW_AGGREGATE } from "../../src/log/eventLog.ts";
import { follow } from "../../src/log/follow.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { startProjector } from "../../src/projections/projector.ts";
import { replay } from "../../src/runtime/actor.ts";
import {
  deliveryAggregate,
  deliveryBehaviour,
  type PendingData,
} from "../../src/runtime/deliveries/deliveryActor.ts";
import { lifecycleDelivery, type RunLifecycleEvent } from "../../src/runtime/deliveries/notifier.ts";
import { onReplayProgress, type ReplayProgress } from "../../src/runtime/hints.ts";
import { previewReplay, requestReplay } from "../../src/runtime/replays/replayRequest.ts";
import { listReplays, readReplay, wishCancelled } from "../../src/runtime/replays/replayStore.ts";
import { startReplayWorker } from "../../src/runtime/replays/replayWorker.ts";
import { runHistory } from "../support/events.ts";
import { testLog } from "../support/log.ts";
import { natsUrl, testDatabase } from "../support/namespace.ts";

const { log, connection } = await testLog();
const logger = pino({ level: "silent" });
const { url: databaseUrl } = await testDatabase({ migrated: true });
const database = openDatabase(databaseUrl);
const { db, pool } = database;
const parts = { db, connection, log };
const WS = 12;
let nextRun = 1;

const projector = startProjector({
  source: {
    follow: (stream, options) => follow(connection, stream, options),
    info: (stream) => log.info(stream),
  },
  database,
  log: logger,
});

beforeAll(async () => {
  await pool.query(`insert into egret.workspaces (id, name) overriding system value values ($1, 'w')`, [WS]);
  await pool.query(
    `insert into egret.webhooks (id, workspace_id, name, endpoint, events, enabled, secret, created_at) overriding system value
     values (14, $1, 'pager', 'https://a.example', $2, true, 'x', '2020-01-01'),
            (15, $1, 'off', 'https://b.example', $2, false, 'x', '2020-01-01'),
            (16, $1, 'narrow', 'https://c.example', '{sync.failed}', true, 'x', '2020-01-01')`,
    [WS, [...LIFECYCLE_EVENTS]],
  );
});
afterAll(async () => {
  await projector.close();
  await database.close();
});

/** Deliveries to webhook 14 that died of their first answer, all of one new run; their ids. */
async function deadDeliveries(count: number, webhookId = 14): Promise<{ runId: number; ids: string[] }> {
  const runId = nextRun++;
  const ids = Array.from({ length: count }, (_, index) => `${runId}-${index + 1}-${webhookId}`);
  let sequence = 0;
  await Promise.all(
    ids.map(async (delivery_id) => {
      const key = { workspace_id: WS, target_kind: "webhook", target_id: webhookId, delivery_id } as const;
      const at = { ...key, sync_id: 2, sync_run_id: runId };
      const data: PendingData = {
        ...at,
        fact: "created",
        event: "sync.failed",
        event_id: "018f0000-0000-7000-8000-00000000000a",
        retry_delays_ms: [],
        timeout_ms: 1_000,
        records: 0,
        payload: "{}",
        payload_sha256: "x",
      };
      const machine = DELIVERY_MACHINE;
      const pending = { type: "delivery.pending", machine, state: "pending", data } as const;
      const first = await log.append(deliveryAggregate(at), pending, NEW_AGGREGATE);
      const request = {
        attempt: 1,
        started_at: new Date().toISOString(),
        duration_ms: 1,
        http_status: 503,
        error: "HTTP 503",
      };
      const dead = { ...at, fact: "attempt.failed", reason: "exhausted", ...request } as const;
      const end = { type: "delivery.dead", machine, state: "dead", data: dead } as const;
      const stored = await log.append(deliveryAggregate(at), end, { version: 1, sequence: first.sequence });
      sequence = Math.max(sequence, stored.sequence);
    }),
  );
  expect(await projector.waitFor("deliveries", sequence, 30_000)).toBe(true);
  return { runId, ids };
}

const wantedOf = (filter: Partial<ReplayedDeliveries>): ReplayWanted => ({
  kind: "deliveries",
  states: ["dead"],
  until: new Date(Date.now() + 1_000).toISOString(),
  ...filter,
});

const request = (wanted: ReplayWanted, ratePerSecond = 5_000) =>
  requestReplay(parts, { workspaceId: WS, wanted, requestedBy: "test", ratePerSecond });

function work(): void {
  const worker = startReplayWorker({ ...parts, logger });
  onTestFinished(() => worker.close());
}

/** Waits for the event that ends a replay. */
async function endOf(replayId: number): Promise<AnyEvent> {
  const signal = AbortSignal.timeout(45_000);
  const filters = [`${WS}.replay.${replayId}.*`];
  for await (const batch of follow(connection, "runs", { fromSequence: 1, maxBatch: 10, signal, filters })) {
    const end = batch.find(({ event }) => event.type !== "replay.requested");
    if (end !== undefined) return end.event;
  }
  throw new Error(`replay ${replayId} did not end`);
}

async function historyOf(id: string, targetId = 14): Promise<AnyEvent[]> {
  const aggregate = deliveryAggregate({
    workspace_id: WS,
    target_kind: "webhook",
    target_id: targetId,
    delivery_id: id,
  });
  const history = await log.load(aggregate);
  if (history.length > 0) replay(deliveryBehaviour, aggregate, history);
  return history.map(({ event }) => event);
}

/** How often each delivery was begun again by a replay. */
const begunBy = async (ids: readonly string[], replayId: number) =>
  Promise.all(
    ids.map(async (id) => {
      const history = await historyOf(id);
      return history.filter(
        (event) => event.type === "delivery.pending" && event.data.redelivery?.job_id === replayId,
      ).length;
    }),
  );

/** Resolves when the row of a replay is as wanted. */
async function untilRow(id: number, isMet: (row: { replayed: number }) => boolean): Promise<void> {
  for (;;) {
    const row = await readReplay(db, id);
    if (row !== null && isMet(row)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a replay of deliveries", () => {
  test("begins again what the filter finds, once each, and says so before and after", async () => {
    const [wanted, other] = [await deadDeliveries(25), await deadDeliveries(3)];
    const filter = wantedOf({
      sync_run_id: wanted.runId,
      http_status: 503,
      webhook_id: 14,
      event: "sync.failed",
    });
    expect(await previewReplay(parts, { workspaceId: WS, wanted: filter })).toBe(25);
    expect(await previewReplay(parts, { workspaceId: WS, wanted: wantedOf({ http_status: 404 }) })).toBe(0);
    work();
    const replayId = await request(filter);
    const end = await endOf(replayId);
    expect(end).toMatchObject({ type: "replay.completed", version: 2, state: "completed" });
    expect(end.data).toMatchObject({ replay_id: replayId, replayed: 25, skipped: {} });
    expect(new Set(await begunBy(wanted.ids, replayId))).toEqual(new Set([1]));
    expect(new Set(await begunBy(other.ids, replayId))).toEqual(new Set([0]));
    await untilRow(replayId, (row) => "state" in row && row.state === "completed");
    expect(await readReplay(db, replayId)).toMatchObject({ total: 25, replayed: 25, taken: null });
    expect((await listReplays(db, { workspaceId: WS, limit: 1 }))[0]?.id).toBe(replayId);
  });

  test("passes over what cannot begin again, and counts it by reason", async () => {
    const { runId, ids } = await deadDeliveries(3, 15);
    work();
    const end = await endOf(await request(wantedOf({ sync_run_id: runId })));
    expect(end.data).toMatchObject({ replayed: 0, skipped: { target_disabled: 3 } });
    expect(await historyOf(ids[0] ?? "", 15)).toHaveLength(2);
  });

  test("goes no faster than it was asked to, and tells how far it is", async () => {
    const { runId } = await deadDeliveries(30);
    const heard: ReplayProgress[] = [];
    work();
    const startedAt = performance.now();
    const replayId = await request(wantedOf({ sync_run_id: runId }), 20);
    const stop = onReplayProgress(connection, { workspaceId: WS, replayId }, (progress) =>
      heard.push(progress),
    );
    await endOf(replayId);
    stop();
    // The last of thirty is due 1.45 s after the first.
    expect(performance.now() - startedAt).toBeGreaterThan(1_400);
    const counts = heard.map(({ replayed }) => replayed);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(heard.some(({ replayed, total }) => total === 30 && replayed > 0 && replayed < 30)).toBe(true);
  });

  test("fails in words when a history cannot be true, and what was begun by then stays begun", async () => {
    const { runId, ids } = await deadDeliveries(1);
    const [, dead] = await historyOf(ids[0] ?? "");
    const wrong = { ...dead, id: randomUUID(), version: 3 } as EgretEvent<"delivery.dead">;
    const subject = `${connection.topology.aggregate(deliveryAggregate(wrong.data))}.dead`;
    const { seq } = await connection.js.publish(subject, JSON.stringify(wrong));
    expect(await projector.waitFor("deliveries", seq, 30_000)).toBe(true);
    work();
    const replayId = await request(wantedOf({ sync_run_id: runId }));
    const end = await endOf(replayId);
    expect(end).toMatchObject({ type: "replay.failed", state: "failed", data: { replayed: 0 } });
    expect((end.data as EventData<"replay.failed">).error).toContain("cannot happen in state dead");
    await untilRow(replayId, (row) => "error" in row && row.error !== null);
  });

  test("cancelled, it stops and says how much it had done", async () => {
    const { runId, ids } = await deadDeliveries(40);
    work();
    const replayId = await request(wantedOf({ sync_run_id: runId }), 10);
    await untilRow(replayId, ({ replayed }) => replayed > 0);
    expect(await wishCancelled(db, replayId, "someone")).toBe(true);
    expect(await wishCancelled(db, replayId, "another")).toBe(false);
    const end = await endOf(replayId);
    expect(end).toMatchObject({ type: "replay.cancelled", data: { cancelled_by: "someone" } });
    const { replayed } = end.data as EventData<"replay.cancelled">;
    expect((await begunBy(ids, replayId)).filter((count) => count === 1)).toHaveLength(replayed);
    expect(replayed).toBeLessThan(40);
  });

  test("I5: killed with -9 in the middle, it goes on with another worker and begins nothing twice", async () => {
    const { runId, ids } = await deadDeliveries(120);
    const settings = { natsUrl: natsUrl(), databaseUrl, streamPrefix: connection.topology.prefix };
    const child = fork(path.join(import.meta.dirname, "../support/replayChild.ts"), {
      env: { ...process.env, EGRET_TEST_SETTINGS: JSON.stringify(settings) },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const replayId = await request(wantedOf({ sync_run_id: runId }), 60);
    await untilRow(replayId, ({ replayed }) => replayed >= 30);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    const atKill = (await begunBy(ids, replayId)).filter((count) => count > 0).length;
    expect(atKill).toBeGreaterThanOrEqual(30);
    expect(atKill).toBeLessThan(120);
    work();
    const end = await endOf(replayId);
    expect(end.data).toMatchObject({ replayed: 120, skipped: {} });
    expect(new Set(await begunBy(ids, replayId))).toEqual(new Set([1]));
  });
});

/** Writes the lifecycle of a run now into the log; its lifecycle events. */
async function newRun(outcome: "ok" | "emergency"): Promise<RunLifecycleEvent[]> {
  const runId = nextRun++;
  let head = NEW_AGGREGATE;
  const events: AnyEvent[] = [];
  for (const { type, machine, state, data } of runHistory({ runId, outcome, workspaceId: WS })) {
    const aggregate = { kind: "run", workspaceId: WS, syncId: 88, runId } as const;
    const stored = await log.append(aggregate, { type, machine, state, data }, head);
    head = { version: stored.event.version, sequence: stored.sequence };
    events.push(stored.event);
  }
  return events.filter(({ type }) => LIFECYCLE_EVENTS.some((name) => name === type)) as RunLifecycleEvent[];
}

describe("a replay of missed events", () => {
  const missedBy = (webhook_id: number, since: Date): ReplayWanted => ({
    kind: "missed_events",
    webhook_id,
    since: since.toISOString(),
    until: new Date(Date.now() + 1_000).toISOString(),
  });

  test("delivers what a webhook has no delivery for, under the ids and bytes of the notifier", async () => {
    const before = await newRun("ok");
    const since = new Date(Date.parse(before.at(-1)?.time ?? "") + 1);
    await new Promise<void>((resolve) => {
      const look = () => (Date.now() > since.getTime() ? resolve() : setImmediate(look));
      look();
    });
    const [first, second] = [await newRun("ok"), await newRun("emergency")];
    // One of them was delivered: it was not missed.
    const known = lifecycleDelivery(first[0]!, 14);
    const pending = {
      type: "delivery.pending",
      machine: DELIVERY_MACHINE,
      state: "pending",
      data: known,
    } as const;
    await log.append(deliveryAggregate(known), pending, NEW_AGGREGATE);
    const missed = [...first.slice(1), ...second];
    const wanted = missedBy(14, since);
    expect(await previewReplay(parts, { workspaceId: WS, wanted })).toBe(missed.length);
    work();
    const replayId = await request(wanted);
    expect((await endOf(replayId)).data).toMatchObject({ replayed: missed.length, skipped: {} });
    for (const event of missed) {
      const made = lifecycleDelivery(event, 14);
      const [created] = await historyOf(made.delivery_id);
      expect(created?.data).toEqual({ ...made, redelivery: { by: "test", job_id: replayId } });
    }
    expect((await historyOf(known.delivery_id)).map(({ data }) => "redelivery" in data)).toEqual([false]);
    expect(await historyOf(lifecycleDelivery(before[0]!, 14).delivery_id)).toHaveLength(0);

    // Again: nothing is missed any more.
    expect(await previewReplay(parts, { workspaceId: WS, wanted })).toBe(0);
    expect((await endOf(await request(wanted))).data).toMatchObject({ replayed: 0, skipped: {} });
  });

  test("keeps to what the webhook is subscribed to", async () => {
    const since = new Date();
    const events = await newRun("emergency");
    work();
    await endOf(await request(missedBy(16, since)));
    const counts = await Promise.all(
      events.map(async (event) => [
        event.type,
        (await historyOf(lifecycleDelivery(event, 16).delivery_id, 16)).length,
      ]),
    );
    expect(counts).toEqual(events.map(({ type }) => [type, type === "sync.failed" ? 1 : 0]));
  });

  test("is refused for a webhook that is disabled or unknown, an empty range, and one older than deliveries are kept", async () => {
    const now = new Date();
    await expect(request(missedBy(15, now))).rejects.toThrow("webhook 15 is disabled: enable it first");
    await expect(request(missedBy(99, now))).rejects.toThrow("there is no webhook 99");
    await expect(request(missedBy(14, new Date(now.getTime() + 10_000)))).rejects.toThrow(
      "the time range is empty",
    );
    const long = new Date(now.getTime() - 31 * 86_400_000);
    await expect(request(missedBy(14, long))).rejects.toThrow("delivery events are kept since");
  });
});
