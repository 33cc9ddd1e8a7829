import { pino } from "pino";
import { Registry } from "prom-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AttemptOutcome, Target } from "../../src/runtime/attempt.ts";
import { CLOSED_CIRCUIT } from "../../src/runtime/circuit.ts";
import { type PendingData, sha256Hex } from "../../src/runtime/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveryIntake.ts";
import { startDeliveryLanes } from "../../src/runtime/deliveryLanes.ts";
import { DeliveryMetrics } from "../../src/runtime/deliveryMetrics.ts";
import type { WorkQueue } from "../../src/runtime/workQueue.ts";
import { testLog } from "../support/log.ts";

const { log, connection } = await testLog();
const intake = new DeliveryIntake(log);
const attempts: { process: string; delivery: string }[] = [];
let outcome: (pending: PendingData) => AttemptOutcome = accepted;
let queues: WorkQueue[];

function accepted(): AttemptOutcome {
  return { kind: "accepted", httpStatus: 200, startedAt: new Date(), durationMs: 1 };
}

beforeAll(() => {
  queues = ["one", "two"].map((process) => {
    const target: Target = {
      bounds: async () => ({ fewest: 5, most: 50, isPaused: false }),
      async attempt(pending) {
        attempts.push({ process, delivery: pending.delivery_id });
        return outcome(pending);
      },
      settle: async () => undefined,
    };
    return startDeliveryLanes({
      circuit: CLOSED_CIRCUIT,
      connection,
      log,
      targets: { webhook: target, destination: target },
      logger: pino({ level: "silent" }),
      metrics: new DeliveryMetrics(new Registry()),
      concurrency: 100,
    });
  });
});
afterAll(async () => void (await Promise.all(queues.map((queue) => queue.close()))));

function pending(targetId: number, number: number): PendingData {
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: targetId,
    delivery_id: `${number}-1-${targetId}`,
    sync_id: 1,
    sync_run_id: number,
    fact: "created",
    event: "sync.started",
    event_id: "018f0000-0000-7000-8000-00000000000a",
    retry_delays_ms: [4_000],
    timeout_ms: 1_000,
    records: 0,
    payload: "{}",
    payload_sha256: sha256Hex("{}"),
  };
}

test("two processes share the deliveries of new targets, and each is attempted once", async () => {
  const targets = [1, 2, 3];
  const numbers = Array.from({ length: 60 }, (_, index) => index + 1);
  await Promise.all(
    targets.flatMap((target) => numbers.map((number) => intake.create(pending(target, number)))),
  );
  await expect.poll(() => attempts.length, { timeout: 10_000 }).toBe(180);
  expect(new Set(attempts.map(({ delivery }) => delivery)).size).toBe(180);
  expect(new Set(attempts.map(({ process }) => process)).size).toBe(2);
});
