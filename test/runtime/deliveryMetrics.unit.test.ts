import { Registry } from "prom-client";
import { beforeEach, describe, expect, test } from "vitest";
import type { AttemptOutcome } from "../../src/runtime/deliveries/attempt.ts";
import type { PendingData } from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryMetrics, type ObservedAttempt } from "../../src/runtime/telemetry/deliveryMetrics.ts";

/** The time in the id below, as version 7 of a uuid holds it. */
const EVENT_MS = 1_700_000_000_000;
const EVENT_ID = "018bcfe5-6800-7000-8000-000000000001";
const pending = { target_kind: "webhook", event_id: EVENT_ID } as PendingData;

let registry: Registry;
let metrics: DeliveryMetrics;

beforeEach(() => {
  registry = new Registry();
  metrics = new DeliveryMetrics(registry);
});

const accepted = (atMs: number): AttemptOutcome => ({
  kind: "accepted",
  httpStatus: 200,
  startedAt: new Date(atMs),
  durationMs: 40,
});

function observe(given: Partial<ObservedAttempt> & Pick<ObservedAttempt, "outcome">): void {
  const first = { attempt: 1, state: "delivered", dueAtMs: null, createdAtMs: EVENT_MS + 5 };
  metrics.observe({ pending, ...first, ...given });
}

/** Samples of ours that are not 0, without the buckets. */
async function shown(): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split("\n");
  const samples = lines.flatMap((line) => {
    const [, name, value] = /^egret_(\S+) (\S+)$/.exec(line) ?? [];
    return name === undefined || value === "0" || name.includes("_bucket") ? [] : [[name, Number(value)]];
  });
  return Object.fromEntries(samples) as Record<string, number>;
}

describe("the metrics of deliveries", () => {
  test("count the delay of a lifecycle event from the event itself, not from the delivery that carries it", async () => {
    observe({ outcome: accepted(EVENT_MS + 30) });
    expect(await shown()).toEqual({
      'delivery_attempts_total{target="webhook",outcome="accepted"}': 1,
      'deliveries_ended_total{target="webhook",state="delivered"}': 1,
      'delivery_attempt_duration_seconds_sum{target="webhook"}': 0.04,
      'delivery_attempt_duration_seconds_count{target="webhook"}': 1,
      'delivery_first_attempt_delay_seconds_sum{target="webhook"}': 0.03,
      'delivery_first_attempt_delay_seconds_count{target="webhook"}': 1,
      'delivery_acceptance_delay_seconds_sum{target="webhook"}': 0.07,
      'delivery_acceptance_delay_seconds_count{target="webhook"}': 1,
    });
  });

  test("count the delay of a batch from its delivery", async () => {
    const batch = { target_kind: "destination", event_id: null } as PendingData;
    observe({ pending: batch, outcome: accepted(EVENT_MS + 30) });
    expect((await shown())['delivery_first_attempt_delay_seconds_sum{target="destination"}']).toBe(0.025);
  });

  test("measure how late a retry was, and count one that was early", async () => {
    observe({ attempt: 2, dueAtMs: EVENT_MS + 4_000, outcome: accepted(EVENT_MS + 4_100) });
    const late = await shown();
    expect(late['delivery_retry_lateness_seconds_sum{target="webhook"}']).toBe(0.1);
    expect(late['delivery_acceptance_delay_seconds_sum{target="webhook"}']).toBe(4.14);
    expect(late).not.toHaveProperty('delivery_first_attempt_delay_seconds_count{target="webhook"}');
    expect(late).not.toHaveProperty('delivery_retries_early_total{target="webhook"}');
    observe({ attempt: 2, dueAtMs: EVENT_MS + 4_000, outcome: accepted(EVENT_MS + 3_999) });
    expect((await shown())['delivery_retries_early_total{target="webhook"}']).toBe(1);
  });

  test("leave what was asked for again out of the delays, and what was dropped out of all times", async () => {
    const redelivery = { by: "someone", job_id: null };
    observe({ pending: { ...pending, redelivery }, outcome: accepted(EVENT_MS + 9_000_000) });
    observe({ state: "dead", outcome: { kind: "dropped", reason: "target_deleted" } });
    const all = await shown();
    expect(Object.keys(all).filter((name) => name.includes("delay"))).toEqual([]);
    expect(all['delivery_attempts_total{target="webhook",outcome="dropped"}']).toBe(1);
    expect(all['deliveries_ended_total{target="webhook",state="dead"}']).toBe(1);
    expect(all['delivery_attempt_duration_seconds_count{target="webhook"}']).toBe(1);
  });

  test("show buckets as Prometheus wants them: cumulative, up to +Inf", async () => {
    for (const delayMs of [1, 30, 30, 70_000]) observe({ outcome: accepted(EVENT_MS + delayMs) });
    const lines = (await registry.metrics())
      .split("\n")
      .filter((line) => line.startsWith("egret_delivery_first_attempt_delay_seconds_bucket"))
      .filter((line) => line.includes("webhook"));
    const counts = lines.map((line) => /le="([^"]+)".* (\d+)$/.exec(line)?.slice(1).join(" "));
    expect(counts).toEqual(
      ["0.005 1", "0.01 1", "0.025 1", "0.05 3", "0.1 3", "0.25 3", "0.5 3", "1 3", "2.5 3", "5 3"].concat([
        "15 3",
        "60 3",
        "+Inf 4",
      ]),
    );
  });

  test("show what is in flight", async () => {
    const [first, second] = [metrics.begin("webhook"), metrics.begin("webhook")];
    first();
    expect((await shown())['delivery_attempts_in_flight{target="webhook"}']).toBe(1);
    second();
    expect(await shown()).toEqual({});
  });
});
