import { describe, expect, test } from "vitest";
import { ENDPOINT_POLICY } from "../../src/domain/endpointPolicy.ts";
import type { EventData } from "../../src/domain/event.ts";
import {
  accepted,
  clock,
  configure,
  fail,
  failed,
  historyOf,
  MINUTE,
  newTarget,
  open,
  process,
  processes,
  START,
  typesOf,
  until,
} from "./endpointProcesses.ts";

describe("the health of a target", () => {
  test("is nothing in the log while it is well, and begins with the first trouble", async () => {
    const health = await process();
    const target = newTarget();
    await health.load(1, target);
    fail(health, target, 4);
    health.report(target, accepted());
    fail(health, target, 4);
    health.report(target, accepted());
    await health.load(1, target);
    expect(await typesOf(target)).toEqual([]);
    fail(health, target, 5, { atMs: START + 1 });
    await until(health, target, "failing");
    expect(health.mayBegin(target)).toBe(true);
    expect(await typesOf(target)).toEqual(["healthy", "failing"]);
    expect((await historyOf(target)).map(({ data }) => data)).toMatchObject([
      { fact: "created", outage_ms: null, since: null },
      {
        consecutive_failures: 5,
        since: "2026-01-05T09:00:00.001Z",
        last_error: "HTTP 503",
        last_http_status: 503,
      },
    ]);
  });

  test("recovers with the first acceptance, and tells how long it was out", async () => {
    const health = await process();
    const target = newTarget("destination");
    await health.load(1, target);
    fail(health, target, 5);
    await until(health, target, "failing");
    clock.ms += 90_000;
    health.report(target, accepted());
    await until(health, target, "healthy");
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({
      fact: "target.accepted",
      outage_ms: 90_000,
      consecutive_failures: 5,
    });
  });

  test("is not told again and again of a target that flaps", async () => {
    const health = await process();
    const target = newTarget();
    await health.load(1, target);
    for (let round = 0; round < 3; round += 1) {
      fail(health, target, 5);
      if (round === 0) await until(health, target, "failing");
      health.report(target, accepted());
      await until(health, target, "healthy");
    }
    expect(await typesOf(target)).toEqual(["healthy", "failing", "healthy"]);
    clock.ms += ENDPOINT_POLICY.restMs;
    fail(health, target, 5);
    await until(health, target, "failing");
  });

  test("is open after five minutes and twenty failures, and not after one of them alone", async () => {
    const health = await process();
    const [long, often] = [newTarget(), newTarget()];
    await Promise.all([health.load(1, long), health.load(1, often)]);
    fail(health, long, 5);
    fail(health, often, 500);
    await Promise.all([until(health, long, "failing"), until(health, often, "failing")]);
    clock.ms += 5 * MINUTE - 1;
    fail(health, often, 500);
    clock.ms += 1;
    fail(health, long, 14);
    // Appends of one process keep their order: what follows tells that nothing came before.
    health.report(often, accepted());
    await until(health, often, "healthy");
    expect(health.states().get(`webhook/${long.id}`)).toBe("failing");
    fail(health, long, 1);
    await until(health, long, "open");
    expect(health.mayBegin(long)).toBe(false);
    expect(health.nextProbeAt(long)).toBe(clock.ms + 30_000);
    expect(await typesOf(often)).toEqual(["healthy", "failing", "healthy"]);
    expect((await historyOf(long)).at(-1)?.data).toMatchObject({ probe: 1, consecutive_failures: 20 });
  });

  test("goes on where the log ends when a process starts", async () => {
    const first = await process();
    const target = newTarget();
    await first.load(1, target);
    fail(first, target, 5);
    await until(first, target, "failing");
    clock.ms += 5 * MINUTE;
    const second = await process();
    await second.load(1, target);
    expect(second.states().get(`webhook/${target.id}`)).toBe("failing");
    fail(second, target, 14);
    expect(await typesOf(target)).toEqual(["healthy", "failing"]);
    fail(second, target, 1);
    await until(second, target, "open");
    await until(first, target, "open");
  });

  test("is written down at the next report when the log was away", async () => {
    const health = await process({ flaky: true });
    const target = newTarget();
    await health.load(1, target);
    fail(health, target, 5);
    await new Promise((resolve) => setImmediate(resolve));
    clock.ms += 1_000;
    fail(health, target, 1);
    await until(health, target, "failing");
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({ consecutive_failures: 6 });
  });

  test("is written once when two processes see the same at the same time", async () => {
    const [a, b] = [await process(), await process()];
    const target = newTarget();
    await Promise.all([a.load(1, target), b.load(1, target)]);
    fail(a, target, 5);
    fail(b, target, 5);
    await Promise.all([until(a, target, "failing"), until(b, target, "failing")]);
    expect(await typesOf(target)).toEqual(["healthy", "failing"]);
  });
});

describe("an open circuit", () => {
  test("lets exactly one first attempt through in all processes, no sooner than it is due", async () => {
    const [a, b, c] = [await process(), await process(), await process()];
    const target = newTarget();
    for (const health of [a, b, c]) await health.load(1, target);
    await open(a, target);
    await Promise.all([until(b, target, "open"), until(c, target, "open")]);
    clock.ms += 29_999;
    const early = await Promise.all([a, b, c].map((health) => health.tryProbe(target)));
    expect(early).toEqual([false, false, false]);
    clock.ms += 1;
    const tries = [a, b, c].flatMap((health) => [health.tryProbe(target), health.tryProbe(target)]);
    const won = await Promise.all(tries);
    expect(won.filter(Boolean)).toHaveLength(1);
    await Promise.all([a, b, c].map((health) => until(health, target, "probing")));
    expect(a.mayBegin(target) || b.mayBegin(target)).toBe(false);
    expect((await typesOf(target)).slice(-2)).toEqual(["open", "probing"]);
  });

  test("closes everywhere when the probe is accepted", async () => {
    const [prober, other] = [await process(), await process()];
    const target = newTarget();
    await Promise.all([prober.load(1, target), other.load(1, target)]);
    await open(prober, target);
    clock.ms += 30_000;
    expect(await prober.tryProbe(target)).toBe(true);
    clock.ms += 50;
    prober.report(target, accepted());
    await Promise.all([until(prober, target, "healthy"), until(other, target, "healthy")]);
    expect(other.mayBegin(target)).toBe(true);
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({ outage_ms: 5 * MINUTE + 30_050 });
  });

  test("waits twice as long after each probe that fails, and a retry's failure is no probe's", async () => {
    const health = await process();
    const target = newTarget();
    await health.load(1, target);
    await open(health, target);
    const pauses: number[] = [];
    for (let probe = 1; probe <= 5; probe += 1) {
      clock.ms = health.nextProbeAt(target)!;
      expect(await health.tryProbe(target)).toBe(true);
      fail(health, target, 3, { isFirst: false });
      expect(health.states().get(`webhook/${target.id}`)).toBe("probing");
      fail(health, target, 1, { isFirst: true });
      await until(health, target, "open");
      pauses.push((health.nextProbeAt(target)! - clock.ms) / 1_000);
    }
    expect(pauses).toEqual([60, 120, 240, 300, 300]);
    const opened = (await historyOf(target)).filter(({ type }) => type === "endpoint.open");
    expect(opened.map(({ data }) => (data as EventData<"endpoint.open">).probe)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("closes when a delivery that had begun before is accepted", async () => {
    const health = await process();
    const target = newTarget();
    await health.load(1, target);
    await open(health, target);
    health.report(target, { ...accepted(), isFirst: false });
    await until(health, target, "healthy");
  });

  test("has its probe taken over a minute after the process that made it died", async () => {
    const [prober, other] = [await process(), await process()];
    const target = newTarget();
    await Promise.all([prober.load(1, target), other.load(1, target)]);
    await open(prober, target);
    await until(other, target, "open");
    clock.ms += 30_000;
    expect(await prober.tryProbe(target)).toBe(true);
    await until(other, target, "probing");
    await prober.close();
    clock.ms += MINUTE - 1;
    expect(await other.tryProbe(target)).toBe(false);
    clock.ms += 1;
    expect(other.nextProbeAt(target)).toBe(clock.ms);
    expect(await other.tryProbe(target)).toBe(true);
    // A process that was only slow no longer speaks for the probe.
    prober.report(target, failed({ isFirst: true }));
    other.report(target, accepted());
    await until(other, target, "healthy");
    expect((await typesOf(target)).slice(-3)).toEqual(["probing", "probing", "healthy"]);
  });

  test("is probed at once when the target's configuration changes", async () => {
    const health = await process();
    const target = newTarget();
    await health.load(1, target);
    await open(health, target);
    expect(await health.tryProbe(target)).toBe(false);
    await configure(target, { enabled: true, endpoint: "https://elsewhere.example" });
    // A message of ours that comes later than the change's: both came when it did.
    await processes[0]!.connection.nc.flush();
    expect(health.nextProbeAt(target)).toBe(clock.ms);
    expect(await health.tryProbe(target)).toBe(true);
  });
});
