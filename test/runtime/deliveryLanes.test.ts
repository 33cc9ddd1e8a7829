import { pino } from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LogConnection } from "../../src/log/connection.ts";
import type { EventLog } from "../../src/log/eventLog.ts";
import { WaitingRoom } from "../../src/log/waitingRoom.ts";
import type { AttemptOutcome, Target } from "../../src/runtime/deliveries/attempt.ts";
import type { Circuit, HealthReport } from "../../src/runtime/deliveries/circuit.ts";
import {
  deliveryAggregate,
  type PendingData,
  sha256Hex,
} from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { startDeliveryLanes } from "../../src/runtime/deliveries/deliveryLanes.ts";
import { DeliveryMetrics } from "../../src/runtime/telemetry/deliveryMetrics.ts";
import type { WorkQueue } from "../../src/runtime/workQueue.ts";
import { testLog } from "../support/log.ts";

/** Every target may always begin. */
const CLOSED_CIRCUIT: Circuit = {
  load: async () => undefined,
  mayBegin: () => true,
  tryProbe: async () => false,
  report: () => undefined,
  onChange: () => () => undefined,
};

let log: EventLog;
let connection: LogConnection;
let intake: DeliveryIntake;
let lanes: WorkQueue[];
let attempts: { process: string; delivery: string; target: number; attempt: number; atMs: number }[];
let answer: (pending: PendingData, attempt: number) => AttemptOutcome | Promise<AttemptOutcome>;
let paused: Set<number>;

const accepted = (): AttemptOutcome => ({
  kind: "accepted",
  httpStatus: 200,
  startedAt: new Date(),
  durationMs: 1,
});
const failed = (): AttemptOutcome => ({
  kind: "failed",
  httpStatus: 500,
  error: "HTTP 500",
  startedAt: new Date(),
  durationMs: 1,
});

beforeEach(async () => {
  // Each test has streams of its own: what one leaves waiting is no work of the next.
  ({ log, connection } = await testLog());
  intake = new DeliveryIntake(log);
  lanes = [];
  attempts = [];
  answer = accepted;
  paused = new Set();
});
afterEach(async () => void (await Promise.all(lanes.map((each) => each.close()))));

interface Started {
  circuit?: Circuit;
  concurrency?: number;
  settle?: Target["settle"];
}

function start(process: string, options: Started = {}): WorkQueue {
  const target: Target = {
    bounds: async (id) => ({ fewest: 5, most: 50, isPaused: paused.has(id) }),
    async attempt(pending, attempt) {
      attempts.push({
        process,
        delivery: pending.delivery_id,
        target: pending.target_id,
        attempt,
        atMs: Date.now(),
      });
      return answer(pending, attempt);
    },
    settle: options.settle ?? (async () => undefined),
  };
  const queue = startDeliveryLanes({
    circuit: options.circuit ?? CLOSED_CIRCUIT,
    connection,
    log,
    targets: { webhook: target, destination: target },
    logger: pino({ level: "silent" }),
    metrics: new DeliveryMetrics(new Registry()),
    concurrency: options.concurrency ?? 100,
  });
  lanes.push(queue);
  return queue;
}

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
    retry_delays_ms: [300, 300],
    timeout_ms: 1_000,
    records: 0,
    payload: "{}",
    payload_sha256: sha256Hex("{}"),
  };
}

const create = (targetId: number, count: number, from = 1) =>
  Promise.all(Array.from({ length: count }, (_, index) => intake.create(pending(targetId, from + index))));
const to = (target: number) => attempts.filter((made) => made.target === target);
const waiting = async () => {
  const room = new WaitingRoom(connection);
  const counts = await room.count();
  room.close();
  return Object.fromEntries(counts.map(({ target, waiting: count }) => [target.id, count]));
};
const stateOf = async (targetId: number, number: number) =>
  (await log.last(deliveryAggregate(pending(targetId, number))))?.event.state;
const soon = { timeout: 20_000 };

describe("the only place of a process", () => {
  let told: string[];
  let hold: PromiseWithResolvers<void>;
  const settle: Target["settle"] = async ({ pending: { delivery_id: id } }) => {
    told.push(`${id} after ${attempts.length}`);
    await hold.promise;
    told.push(`${id} done`);
  };
  const batch = (number: number, records: number) => intake.create({ ...pending(1, number), records });
  beforeEach(() => {
    told = [];
    hold = Promise.withResolvers();
  });

  test("goes to the next delivery while the run of a small batch is told of its end", async () => {
    const lane = start("one", { concurrency: 1, settle });
    await batch(1, 100);
    await batch(2, 1);
    await expect.poll(() => told, soon).toEqual(["1-1-1 after 1", "2-1-1 after 2"]);
    let isClosed = false;
    const closing = lane.close().then(() => (isClosed = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    hold.resolve();
    await closing;
    expect(told.slice(2)).toEqual(["1-1-1 done", "2-1-1 done"]);
  });

  test("is kept by a large batch until its run was told", async () => {
    // Both are there before either begins: the second would go in the turn in which the first leaves its place.
    await batch(1, 101);
    await batch(2, 101);
    start("one", { concurrency: 1, settle });
    await expect.poll(() => told, soon).toEqual(["1-1-1 after 1"]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(attempts).toHaveLength(1);
    hold.resolve();
    await expect
      .poll(() => told, soon)
      .toEqual(["1-1-1 after 1", "1-1-1 done", "2-1-1 after 2", "2-1-1 done"]);
  });
});

test("two processes share deliveries, and each is attempted once", async () => {
  // Few enough places that neither can hold all of it.
  start("one", { concurrency: 4 });
  start("two", { concurrency: 4 });
  await Promise.all([create(1, 60), create(2, 60), create(3, 60)]);
  await expect.poll(() => attempts.length, soon).toBe(180);
  expect(new Set(attempts.map(({ delivery }) => delivery)).size).toBe(180);
  expect(new Set(attempts.map(({ process }) => process)).size).toBe(2);
});

test("a retry is made when it is due and not earlier, by whichever process", async () => {
  answer = (_pending, attempt) => (attempt < 3 ? failed() : accepted());
  start("one");
  start("two");
  await create(1, 20);
  await expect.poll(() => attempts.length, soon).toBe(60);
  for (let number = 1; number <= 20; number += 1) {
    await expect.poll(() => stateOf(1, number), soon).toBe("delivered");
    const history = await log.load(deliveryAggregate(pending(1, number)));
    expect(history.map(({ event }) => event.state)).toEqual(["pending", "retrying", "retrying", "delivered"]);
    const times = to(1).filter(({ delivery }) => delivery === `${number}-1-1`);
    for (const [index, { event }] of history.entries()) {
      if (event.type === "delivery.retrying")
        expect(times[index]?.atMs).toBeGreaterThanOrEqual(Date.parse(event.data.due_at));
    }
  }
});

test("I7: what a hanging target cannot take moves to the waiting room, and goes on from there when it answers", async () => {
  const answered = Promise.withResolvers<void>();
  answer = async (made) => {
    if (made.target_id === 9) await answered.promise;
    return accepted();
  };
  // Held at most 8 x 12: half as many for the hanging one are more than there is room for.
  start("one", { concurrency: 12 });
  await create(9, 200);
  await expect.poll(waiting, soon).toHaveProperty("9");
  await create(1, 50);
  await expect.poll(() => to(1).length, soon).toBe(50);
  expect(to(9).length).toBeLessThanOrEqual(6);
  answered.resolve();
  await expect.poll(() => to(9).length, soon).toBe(200);
  expect(new Set(to(9).map(({ delivery }) => delivery)).size).toBe(200);
  await expect.poll(waiting, soon).toEqual({});
  // The room is closed again: what comes now goes the short way.
  await create(9, 1, 1_000);
  await expect.poll(() => to(9).length, soon).toBe(201);
});

describe("a paused target", () => {
  test("gets nothing, retries included, loses nothing, and gets all of it when it is resumed", async () => {
    answer = (_pending, attempt) => (attempt === 1 ? failed() : accepted());
    start("one");
    await create(1, 5);
    await expect.poll(() => attempts.length, soon).toBe(5);
    paused.add(1);
    await create(1, 20, 100);
    await create(2, 5);
    await expect.poll(() => to(2).length, soon).toBe(10);
    await expect.poll(waiting, soon).toEqual({ 1: 25 });
    expect(to(1)).toHaveLength(5);
    paused.clear();
    await expect.poll(() => to(1).length, soon).toBe(50);
    await expect.poll(() => stateOf(1, 119), soon).toBe("delivered");
  });

  test("stays so over a restart of the worker", async () => {
    paused.add(1);
    const first = start("one");
    await create(1, 10);
    await expect.poll(waiting, soon).toEqual({ 1: 10 });
    await first.close();
    start("two");
    await create(2, 1);
    await expect.poll(() => to(2).length, soon).toBe(1);
    expect(to(1)).toEqual([]);
    paused.clear();
    await expect.poll(() => to(1).length, soon).toBe(10);
  });
});

describe("an open circuit", () => {
  let isOpen: boolean;
  let isProbeDue: boolean;
  let reports: HealthReport[];
  let tell: () => void;
  let circuit: Circuit;
  beforeEach(() => {
    [isOpen, isProbeDue, reports, tell] = [true, false, [], () => undefined];
    circuit = {
      load: async () => undefined,
      mayBegin: ({ id }) => id !== 1 || !isOpen,
      async tryProbe({ id }) {
        const isWon = id === 1 && isProbeDue;
        if (isWon) isProbeDue = false;
        return isWon;
      },
      report: ({ id }, report) => void (id === 1 && reports.push(report)),
      onChange(listener) {
        tell = () => listener({ kind: "webhook", id: 1 });
        return () => undefined;
      },
    };
  });

  test("holds first attempts back, lets one probe through, and lets all go when it closes", async () => {
    start("one", { circuit });
    await create(1, 12);
    await create(2, 3);
    await expect.poll(() => to(2).length, soon).toBe(3);
    await expect.poll(waiting, soon).toEqual({ 1: 12 });
    expect(to(1)).toEqual([]);
    isProbeDue = true;
    await expect.poll(() => to(1).length, soon).toBe(1);
    await expect.poll(() => reports.length, soon).toBe(1);
    expect(reports[0]).toMatchObject({ ok: true, httpStatus: 200, isFirst: true, exhausted: false });
    expect(await stateOf(1, 2)).toBe("pending");
    isOpen = false;
    tell();
    await expect.poll(() => to(1).length, soon).toBe(12);
  });

  test("does not touch the schedule of a delivery that has begun", async () => {
    isOpen = false;
    answer = failed;
    start("one", { circuit });
    await create(1, 1);
    await expect.poll(() => to(1).length, soon).toBe(1);
    isOpen = true;
    await expect.poll(() => stateOf(1, 1), soon).toBe("dead");
    expect(to(1).map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(reports.at(-1)).toMatchObject({ ok: false, exhausted: true, isFirst: false });
  });
});
