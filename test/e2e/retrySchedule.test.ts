import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lifecyclePayload } from "../../src/domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS, WEBHOOK_TIMEOUT_MS } from "../../src/domain/retryPolicy.ts";
import { follow } from "../../src/log/follow.ts";
import { type PendingData, sha256Hex } from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { applyYaml, testEgret } from "../support/egret.ts";
import { answers } from "../support/farmAnswers.ts";
import { type ReceiverFarm, startReceiverFarm } from "../support/receiverFarm.ts";

const DELIVERIES = 300;
const WEBHOOKS = 10;
/** Attempts that fail before one is accepted: the first two waits of the real schedule, 4 and 8 s. */
const FAILURES = 2;
const ATTEMPTS = FAILURES + 1;
const MOST_LATE_MS = 500;
/** Between two deliveries: this is about the schedule, and how many go at once is the benchmark's affair. */
const APART_MS = 20;
/** A machine that does something else for half a second makes retries late: p99 has to be right in one of so many. */
const MEASUREMENTS = 3;

const egret = await testEgret();
let farm: ReceiverFarm;
let webhookIds: number[];

beforeAll(async () => {
  farm = await startReceiverFarm({
    rule: ({ headers }) =>
      Number(headers["x-delivery-attempt"]) <= FAILURES ? answers.status(503) : answers.ok,
  });
  const hooks = Array.from({ length: WEBHOOKS }, (_, n) => `  hook${n}: { endpoint: "${farm.url}/${n}" }\n`);
  const applied = await applyYaml(egret, `workspace: demo\nwebhooks:\n${hooks.join("")}`);
  webhookIds = await Promise.all(hooks.map((_, n) => applied.id("webhook", `hook${n}`)));
});
afterAll(() => farm.close());

function delivery(id: string, index: number): PendingData {
  const payload = lifecyclePayload({ event: "sync.started", workspaceId: 1, syncId: 1, runId: index + 1 });
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: webhookIds[index % WEBHOOKS] ?? 0,
    delivery_id: id,
    sync_id: 1,
    sync_run_id: index + 1,
    fact: "created",
    event: "sync.started",
    event_id: `018f0000-0000-7000-8000-${String(index).padStart(12, "0")}`,
    retry_delays_ms: [...WEBHOOK_RETRY_DELAYS_MS],
    timeout_ms: WEBHOOK_TIMEOUT_MS,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
  };
}

interface Retry {
  id: string;
  attempt: number;
  dueAt: number;
  startedAt: number;
}

/** Makes the deliveries, one after the other, and waits for the end of the last; its retries as the log tells them. */
async function measure(round: number): Promise<Retry[]> {
  const { connection, log } = egret.services;
  const intake = new DeliveryIntake(log);
  const from = (await log.info("deliveries")).lastSequence + 1;
  const ids = Array.from({ length: DELIVERIES }, (_, index) => `${round}-${index}`);
  for (const [index, id] of ids.entries())
    await Promise.all([intake.create(delivery(id, index)), wait(APART_MS)]);
  const retries: Retry[] = [];
  const dueAt = new Map<string, number>();
  let ended = 0;
  const signal = AbortSignal.timeout(90_000);
  for await (const batch of follow(connection, "deliveries", { fromSequence: from, maxBatch: 500, signal })) {
    for (const { event } of batch) {
      if (event.type !== "delivery.retrying" && event.type !== "delivery.delivered") continue;
      const { delivery_id: id, attempt, started_at } = event.data;
      const due = dueAt.get(id);
      if (due !== undefined) retries.push({ id, attempt, dueAt: due, startedAt: Date.parse(started_at) });
      if (event.type === "delivery.retrying") dueAt.set(id, Date.parse(event.data.due_at));
      else ended += 1;
    }
    if (ended === DELIVERIES) return retries;
  }
  throw new Error(`${ended} of ${DELIVERIES} deliveries were accepted`);
}

/** By the clock of the receiver: when each attempt of a delivery came. */
function arrivals(id: string): number[] {
  const own = farm.requests.filter(({ headers }) => headers["x-delivery-id"] === id);
  return own
    .toSorted((a, b) => Number(a.headers["x-delivery-attempt"]) - Number(b.headers["x-delivery-attempt"]))
    .map(({ at }) => at);
}

test(`I6: of ${DELIVERIES} deliveries that fail twice no retry is early, and p99 begins within half a second`, async () => {
  const p99s: number[] = [];
  for (let round = 1; round <= MEASUREMENTS; round += 1) {
    const retries = await measure(round);
    expect(retries).toHaveLength(DELIVERIES * FAILURES);

    // None is early in any measurement, however busy the machine is.
    expect(retries.filter(({ dueAt, startedAt }) => startedAt < dueAt)).toEqual([]);
    for (let index = 0; index < DELIVERIES; index += 1) {
      const times = arrivals(`${round}-${index}`);
      expect(times).toHaveLength(ATTEMPTS);
      const waits = times.slice(1).map((at, n) => at - (times[n] ?? 0));
      waits.forEach((waitMs, n) => expect(waitMs).toBeGreaterThanOrEqual(WEBHOOK_RETRY_DELAYS_MS[n] ?? 0));
    }

    const lateness = retries.map(({ dueAt, startedAt }) => startedAt - dueAt).sort((a, b) => a - b);
    p99s.push(lateness[Math.floor(lateness.length * 0.99)] ?? 0);
    if (Math.min(...p99s) <= MOST_LATE_MS) break;
  }
  expect(Math.min(...p99s), `p99 of each measurement: ${p99s.join(", ")} ms`).toBeLessThanOrEqual(
    MOST_LATE_MS,
  );
});
