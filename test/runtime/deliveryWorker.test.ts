import { pino } from "pino";
import { Registry } from "prom-client";
import { Agent } from "undici";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Webhook } from "../../src/domain/configuration.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { lifecyclePayload } from "../../src/domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS } from "../../src/domain/retryPolicy.ts";
import type { EventLog } from "../../src/log/eventLog.ts";
import {
  deliveryAggregate,
  type PendingData,
  sha256Hex,
} from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { DeliveryWorker } from "../../src/runtime/deliveries/deliveryWorker.ts";
import { webhookTarget } from "../../src/runtime/deliveries/webhookTarget.ts";
import { DeliveryMetrics } from "../../src/runtime/telemetry/deliveryMetrics.ts";
import { newWebhookSecret } from "../../src/security/signature.ts";
import { createTestClock, type TestClock } from "../support/clock.ts";
import { testLog } from "../support/log.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const { log } = await testLog();
const intake = new DeliveryIntake(log);
const dispatcher = new Agent();
const secret = newWebhookSecret();
let receiver: Receiver;
let clock: TestClock;
let webhooks: Map<number, Webhook>;
let worker: DeliveryWorker;
let registry = new Registry();
/** One per worker, as there is one per process; `registry` is the last worker's. */
const freshRegistry = () => (registry = new Registry());
let nextVersion = 1;

beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(async () => {
  await receiver.close();
  await dispatcher.close();
});
beforeEach(() => {
  clock = createTestClock();
  receiver.behave({});
  webhooks = new Map([[14, hook()]]);
  worker = newWorker(log);
});

function hook(changes: Partial<Webhook> = {}): Webhook {
  const createdAt = new Date(0);
  return {
    id: 14,
    workspaceId: 1,
    name: "pager",
    endpoint: receiver.url,
    events: [],
    enabled: true,
    createdAt,
    secret,
    ...changes,
  };
}

function newWorker(eventLog: EventLog): DeliveryWorker {
  const now = () => clock.now();
  const target = webhookTarget({
    readWebhook: async (id) => webhooks.get(id) ?? null,
    dispatcher,
    userAgent: "test",
    now,
  });
  return new DeliveryWorker({
    log: eventLog,
    targets: { webhook: target, destination: target },
    logger: pino({ level: "silent" }),
    metrics: new DeliveryMetrics(freshRegistry()),
    now,
  });
}

async function newDelivery(timeoutMs = 2_000): Promise<PendingData> {
  const payload = lifecyclePayload({ event: "sync.started", workspaceId: 1, syncId: 2, runId: 7 });
  const data: PendingData = {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: 14,
    delivery_id: `7-${nextVersion++}-14`,
    sync_id: 2,
    sync_run_id: 7,
    fact: "created",
    event: "sync.started",
    event_id: "018f0000-0000-7000-8000-00000000000a",
    retry_delays_ms: [...WEBHOOK_RETRY_DELAYS_MS],
    timeout_ms: timeoutMs,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
  };
  await intake.create(data);
  return data;
}

/** As a work item does: with the history that the log holds now. */
const advance = async (by: DeliveryWorker, data: PendingData) =>
  by.advance(await log.load(deliveryAggregate(data)));
const historyOf = async (data: PendingData): Promise<AnyEvent[]> =>
  (await log.load(deliveryAggregate(data))).map(({ event }) => event);
const of = (data: PendingData) =>
  receiver.requests.filter(({ headers }) => headers["x-delivery-id"] === data.delivery_id);

describe("a lifecycle delivery", () => {
  test("is attempted six times on the schedule 4, 8, 16, 32, 64 s, and is dead after that", async () => {
    receiver.behave({ status: 503 });
    const data = await newDelivery();
    const waits: number[] = [];
    for (;;) {
      const { result } = await advance(worker, data);
      if (result.kind !== "again") break;
      waits.push(Math.round(result.delayMs / 1000));
      await clock.advance(result.delayMs);
    }
    expect(waits).toEqual([4, 8, 16, 32, 64]);
    expect(of(data).map(({ headers }) => headers["x-delivery-attempt"])).toEqual([
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
    ]);
    const history = await historyOf(data);
    expect(history.map(({ type }) => type.split(".")[1])).toEqual([
      "pending",
      ...Array<string>(5).fill("retrying"),
      "dead",
    ]);
    expect(history.at(-1)?.data).toMatchObject({ reason: "exhausted", attempt: 6, http_status: 503 });
    expect(
      history.flatMap((event) => (event.type === "delivery.retrying" ? [event.data.delay_ms] : [])),
    ).toEqual([4_000, 8_000, 16_000, 32_000, 64_000]);
  });

  test.each([
    ["a longer wait", "90", true, 90_000],
    ["a shorter wait", "1", true, 4_000],
    ["a wait of days", "900000", true, 900_000],
    ["what is no time", "soon", true, 4_000],
    ["a longer wait without the webhook's consent", "90", false, 4_000],
  ])(
    "waits, when the webhook asks for %s in Retry-After, as it should",
    async (_what, asked, honors, delayMs) => {
      webhooks.set(14, hook({ honorRetryAfter: honors }));
      receiver.behave({ status: 429, headers: { "retry-after": asked } });
      const data = await newDelivery();
      await advance(worker, data);
      const last = (await historyOf(data)).at(-1);
      expect(last?.data).toMatchObject({ delay_ms: delayMs, http_status: 429 });
      expect(await worker.advance(await log.load(deliveryAggregate(data)))).toMatchObject({
        result: { kind: "again", delayMs },
      });
    },
  );

  test("I6: a wake-up that comes early sends nothing and waits for the rest", async () => {
    receiver.behave({ status: 500 });
    const data = await newDelivery();
    await advance(worker, data);
    await clock.advance(3_100);
    expect((await advance(worker, data)).result).toEqual({ kind: "again", delayMs: 900 });
    expect(of(data)).toHaveLength(1);
    await clock.advance(900);
    await advance(worker, data);
    expect(of(data)).toHaveLength(2);
  });

  test("I6: shows how late each retry was, as a metric", async () => {
    receiver.behave({ status: 500 });
    const data = await newDelivery();
    await advance(worker, data);
    receiver.behave({});
    await clock.advance(4_000);
    await advance(worker, data);
    const shown = await registry.metrics();
    expect(shown).toContain('egret_delivery_retry_lateness_seconds_count{target="webhook"} 1');
    expect(shown).toContain('egret_delivery_attempts_total{target="webhook",outcome="failed"} 1');
    expect(shown).toContain('egret_deliveries_ended_total{target="webhook",state="delivered"} 1');
    expect(shown).toContain('egret_delivery_attempts_in_flight{target="webhook"} 0');
  });

  test("I9: sends the same bytes at each attempt, and they are the bytes in the log", async () => {
    receiver.behave({ status: 500 });
    const data = await newDelivery();
    await advance(worker, data);
    receiver.behave({ status: 204 });
    await clock.advance(4_000);
    expect((await advance(worker, data)).result).toEqual({ kind: "done" });
    const [first, second] = of(data);
    expect(second?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true);
    expect(first?.body.toString()).toBe(data.payload);
    expect(sha256Hex(first?.body ?? "")).toBe(data.payload_sha256);
    expect(second?.headers["x-signature"]).toBe(first?.headers["x-signature"]);
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
  });

  test("whose webhook is deleted while it waits ends dead and says why", async () => {
    receiver.behave({ status: 500 });
    const data = await newDelivery();
    await advance(worker, data);
    webhooks.delete(14);
    worker = newWorker(log);
    await clock.advance(4_000);
    expect((await advance(worker, data)).result).toEqual({ kind: "done" });
    expect((await historyOf(data)).at(-1)).toMatchObject({
      type: "delivery.dead",
      state: "dead",
      data: { fact: "delivery.dropped", reason: "target_deleted", attempt: null },
    });
    expect(of(data)).toHaveLength(1);
  });

  test("whose webhook is disabled is dropped without a request", async () => {
    webhooks.set(14, hook({ enabled: false }));
    const data = await newDelivery();
    await advance(worker, data);
    expect((await historyOf(data)).at(-1)?.data).toMatchObject({ reason: "target_disabled" });
    expect(of(data)).toHaveLength(0);
  });

  test("counts a redirect, a hang and a broken connection as failures, and follows nothing", async () => {
    for (const [behaviour, error] of [
      [{ status: 302, headers: { location: `${receiver.url}/elsewhere` } }, "HTTP 302"],
      [{ hang: true }, "no answer within 0.3 s"],
      [{ reset: true }, "connection reset"],
    ] as const) {
      receiver.behave(behaviour);
      const data = await newDelivery(300);
      await advance(worker, data);
      expect((await historyOf(data)).at(-1)).toMatchObject({ type: "delivery.retrying", data: { error } });
      expect(of(data)).toHaveLength(1);
    }
  });

  test("I2: two workers that attempt it at once leave one event per version", async () => {
    const data = await newDelivery();
    const other = newWorker(log);
    const results = await Promise.all([advance(worker, data), advance(other, data)]);
    const history = await historyOf(data);
    expect(history.map(({ version }) => version)).toEqual([1, 2]);
    expect(history.at(-1)?.type).toBe("delivery.delivered");
    // The loser is told to look again, and finds it done.
    expect(results.map(({ result }) => result.kind).sort()).toEqual(["again", "done"]);
    expect((await advance(other, data)).result).toEqual({ kind: "done" });
  });

  test("is created once, however often its cause is read", async () => {
    const data = await newDelivery();
    expect(await intake.create(data)).toBeNull();
    expect(await historyOf(data)).toHaveLength(1);
  });
});
