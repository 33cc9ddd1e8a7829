import { pino } from "pino";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { lifecyclePayload } from "../../src/domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS } from "../../src/domain/retryPolicy.ts";
import { openDatabase } from "../../src/projections/database.ts";
import type { AttemptOutcome, Target } from "../../src/runtime/deliveries/attempt.ts";
import {
  deliveryAggregate,
  type PendingData,
  sha256Hex,
} from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { DeliveryWorker } from "../../src/runtime/deliveries/deliveryWorker.ts";
import { type RedeliveryDesk, redeliver } from "../../src/runtime/deliveries/redeliver.ts";
import { redeliveryDesk } from "../../src/runtime/deliveries/redeliveryDesk.ts";
import { DeliveryMetrics } from "../../src/runtime/telemetry/deliveryMetrics.ts";
import { createTestClock } from "../support/clock.ts";
import { testLog } from "../support/log.ts";
import { testDatabase } from "../support/namespace.ts";

const { log } = await testLog();
const intake = new DeliveryIntake(log);
const clock = createTestClock();
let answers: (() => AttemptOutcome)[] = [];
const sent: { pending: PendingData; attempt: number }[] = [];
let nextId = 1;

const timing = () => ({ startedAt: new Date(clock.now()), durationMs: 1 });
const ok = (): AttemptOutcome => ({ kind: "accepted", httpStatus: 200, ...timing() });
const fails = (): AttemptOutcome => ({ kind: "failed", httpStatus: 500, error: "HTTP 500", ...timing() });

const target: Target = {
  bounds: async () => ({ fewest: 5, most: 5, isPaused: false }),
  attempt: async (pending, attempt) => {
    sent.push({ pending, attempt });
    return (answers.shift() ?? fails)();
  },
  settle: async () => undefined,
};
const worker = new DeliveryWorker({
  log,
  targets: { webhook: target, destination: target },
  logger: pino({ level: "silent" }),
  metrics: new DeliveryMetrics(new Registry()),
  now: () => clock.now(),
});
const ready: RedeliveryDesk = { targetState: async () => "ready", isBatchKept: async () => false };
const asked = { by: "test", replayId: null };

async function newDelivery(changes: Partial<PendingData> = {}): Promise<PendingData> {
  const payload = lifecyclePayload({ event: "sync.started", workspaceId: 1, syncId: 2, runId: 7 });
  const data: PendingData = {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: 14,
    delivery_id: `7-${nextId++}-14`,
    sync_id: 2,
    sync_run_id: 7,
    fact: "created",
    event: "sync.started",
    event_id: "018f0000-0000-7000-8000-00000000000a",
    retry_delays_ms: [...WEBHOOK_RETRY_DELAYS_MS],
    timeout_ms: 2_000,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
    ...changes,
  };
  await intake.create(data);
  return data;
}

const historyOf = async (data: PendingData): Promise<AnyEvent[]> =>
  (await log.load(deliveryAggregate(data))).map(({ event }) => event);

/** Works on the delivery until it has ended; the waits that it asked for, s. */
async function workToEnd(data: PendingData): Promise<number[]> {
  const waits: number[] = [];
  for (;;) {
    const { result } = await worker.advance(await log.load(deliveryAggregate(data)));
    if (result.kind !== "again") return waits;
    waits.push(Math.round(result.delayMs / 1_000));
    await clock.advance(result.delayMs);
  }
}

describe("redelivery", () => {
  test("I5, I9: begins a dead delivery again with the same id and bytes, and a whole schedule", async () => {
    const data = await newDelivery();
    answers = [];
    await workToEnd(data);
    const outcome = await redeliver({ log, desk: ready }, deliveryAggregate(data), asked);
    expect(outcome.kind).toBe("redelivered");
    const again = (await historyOf(data)).at(-1);
    expect(again).toMatchObject({
      type: "delivery.pending",
      version: 8,
      state: "pending",
      machine: "delivery@2",
    });
    const { fact, redelivery, ...same } = (again as AnyEvent).data as PendingData;
    const { fact: _created, ...first } = data;
    expect(fact).toBe("redelivered");
    expect(redelivery).toEqual({ by: "test", job_id: null });
    expect(same).toEqual(first);

    answers = [fails, fails, fails, fails, fails, ok];
    expect(await workToEnd(data)).toEqual([4, 8, 16, 32, 64]);
    const numbers = sent.filter(({ pending }) => pending.delivery_id === data.delivery_id);
    expect(numbers.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect((await historyOf(data)).at(-1)).toMatchObject({ state: "delivered", data: { attempt: 12 } });
  });

  test("begins a delivered delivery again, and again after that", async () => {
    const data = await newDelivery();
    for (let round = 1; round <= 3; round++) {
      answers = [ok];
      await workToEnd(data);
      expect((await historyOf(data)).at(-1)).toMatchObject({ state: "delivered", data: { attempt: round } });
      await redeliver({ log, desk: ready }, deliveryAggregate(data), asked);
    }
    expect((await historyOf(data)).map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("is refused in words when there is no such delivery, or it has not ended", async () => {
    const data = await newDelivery();
    const unknown = { ...deliveryAggregate(data), deliveryId: "7-999-14" };
    expect(await redeliver({ log, desk: ready }, unknown, asked)).toEqual({ kind: "not_found" });
    expect(await redeliver({ log, desk: ready }, deliveryAggregate(data), asked)).toEqual({
      kind: "not_ended",
      state: "pending",
    });
    answers = [fails];
    await worker.advance(await log.load(deliveryAggregate(data)));
    expect(await redeliver({ log, desk: ready }, deliveryAggregate(data), asked)).toMatchObject({
      state: "retrying",
    });
  });

  test("is refused for a target that is deleted or disabled", async () => {
    const data = await newDelivery();
    answers = [ok];
    await workToEnd(data);
    for (const state of ["deleted", "disabled"] as const) {
      const desk: RedeliveryDesk = { ...ready, targetState: async () => state };
      expect(await redeliver({ log, desk }, deliveryAggregate(data), asked)).toEqual({
        kind: `target_${state}`,
      });
    }
    expect(await historyOf(data)).toHaveLength(2);
  });

  test("is refused for a batch whose rows are no longer kept", async () => {
    const batch = {
      target_kind: "destination",
      target_id: 3,
      event: null,
      event_id: null,
      payload: null,
    } as const;
    const data = await newDelivery({ ...batch, delivery_id: "7-1", records: 5 });
    answers = [ok];
    await workToEnd(data);
    expect(await redeliver({ log, desk: ready }, deliveryAggregate(data), asked)).toEqual({
      kind: "not_kept",
      what: "rows",
    });
  });

  test("I2: two who ask at once begin it once", async () => {
    const data = await newDelivery();
    answers = [ok];
    await workToEnd(data);
    const outcomes = await Promise.all(
      ["a", "b", "c"].map((by) =>
        redeliver({ log, desk: ready }, deliveryAggregate(data), { by, replayId: null }),
      ),
    );
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["not_ended", "not_ended", "redelivered"]);
    expect(await historyOf(data)).toHaveLength(3);
  });

  test("by a replay happens once, also after the delivery has ended again", async () => {
    const data = await newDelivery();
    const job = { by: "test", replayId: 5 };
    answers = [ok, ok];
    await workToEnd(data);
    expect((await redeliver({ log, desk: ready }, deliveryAggregate(data), job)).kind).toBe("redelivered");
    expect((await redeliver({ log, desk: ready }, deliveryAggregate(data), job)).kind).toBe("already");
    await workToEnd(data);
    expect((await redeliver({ log, desk: ready }, deliveryAggregate(data), job)).kind).toBe("already");
    const other = { by: "test", replayId: 6 };
    expect((await redeliver({ log, desk: ready }, deliveryAggregate(data), other)).kind).toBe("redelivered");
  });

  test("a work item that is left of the time before does not end the delivery's new beginning", async () => {
    const data = await newDelivery();
    answers = [ok];
    await workToEnd(data);
    const stale = await log.load(deliveryAggregate(data));
    await redeliver({ log, desk: ready }, deliveryAggregate(data), asked);
    await worker.advance(stale);
    expect((await historyOf(data)).at(-1)).toMatchObject({ version: 3, state: "pending" });
  });
});

describe("the desk over Postgres", () => {
  test("knows targets that are there, disabled or gone, and lets no batch be sent again", async () => {
    const database = openDatabase((await testDatabase({ migrated: true })).url);
    const { pool, db } = database;
    await pool.query(`
      insert into egret.workspaces (name) values ('w');
      insert into egret.webhooks (workspace_id, name, endpoint, events, enabled, secret)
        values (1, 'on', 'https://a.example', '{}', true, 'x'), (1, 'off', 'https://b.example', '{}', false, 'x');
      insert into egret.destinations (workspace_id, name, type, settings, secret) values (1, 'd', 'webhook', '{}', 'x');
      insert into egret.batches (run_id, batch_no, sync_id, destination_id, records, body, body_sha256, outcome)
        values (7, 1, 1, 1, 1, 'x', 'x', null), (7, 2, 1, 1, 1, null, 'x', 'accepted'), (7, 3, 1, 1, 1, 'x', 'x', 'rejected')`);
    const desk = redeliveryDesk(db);
    const webhook = (targetId: number) => desk.targetState({ targetKind: "webhook", targetId });
    expect([await webhook(1), await webhook(2), await webhook(3)]).toEqual(["ready", "disabled", "deleted"]);
    expect(await desk.targetState({ targetKind: "destination", targetId: 1 })).toBe("ready");
    expect(await desk.targetState({ targetKind: "destination", targetId: 9 })).toBe("deleted");
    const kept = await Promise.all(["7-1", "7-2", "7-3", "7-4"].map((id) => desk.isBatchKept(7, id)));
    expect(kept).toEqual([false, false, false, false]);
    await database.close();
  });
});
