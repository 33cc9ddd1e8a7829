import { pino } from "pino";
import { afterEach, describe, expect, test } from "vitest";
import type { EndpointState } from "../../machines/endpoint.ts";
import type { EndpointAggregate } from "../../src/domain/aggregate.ts";
import { ENDPOINT_POLICY } from "../../src/domain/endpointPolicy.ts";
import { Unavailable } from "../../src/domain/errors.ts";
import type { AnyEvent, EventData } from "../../src/domain/event.ts";
import { connectLog, type LogConnection } from "../../src/log/connection.ts";
import { EventLog, headOf } from "../../src/log/eventLog.ts";
import { replay } from "../../src/runtime/actor.ts";
import type { HealthReport } from "../../src/runtime/circuit.ts";
import { endpointBehaviour } from "../../src/runtime/endpointActor.ts";
import { EndpointHealth, type EndpointHealthOptions } from "../../src/runtime/endpointHealth.ts";
import { enableEndpoint } from "../../src/runtime/endpointTransitions.ts";
import { testLog } from "../support/log.ts";
import { natsUrl } from "../support/namespace.ts";

const { connection, log } = await testLog();
const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 5, 9);

let clockMs = START;
let nextId = 1;
const processes: { health: EndpointHealth; connection: LogConnection; log: EventLog }[] = [];

afterEach(async () => {
  clockMs = START;
  for (const { health, connection, log } of processes.splice(0)) {
    await health.close();
    log.close();
    await connection.close();
  }
});

const newTarget = (kind: "webhook" | "destination" = "webhook") => ({ kind, id: nextId++ });
type Target = ReturnType<typeof newTarget>;
const aggregateOf = ({ kind, id }: Target): EndpointAggregate => ({
  kind: "endpoint",
  workspaceId: 1,
  targetKind: kind,
  targetId: id,
});

/** A process of its own: another connection, another view; what it has in memory is its own. */
async function process(options: Partial<EndpointHealthOptions> & { flaky?: boolean } = {}) {
  const own = await connectLog(natsUrl(), connection.topology);
  const ownLog = options.flaky === true ? new FlakyLog(own) : new EventLog(own);
  const health = new EndpointHealth({
    log: ownLog,
    connection: own,
    logger: pino({ level: "silent" }),
    now: () => clockMs,
    ...options,
  });
  processes.push({ health, connection: own, log: ownLog });
  await own.nc.flush();
  return health;
}

/** A connection on which nothing is heard of what others do. */
function withoutEars(): LogConnection {
  return { ...connection, nc: { subscribe: () => ({ unsubscribe: () => undefined }) } as never };
}

class FlakyLog extends EventLog {
  failures = 1;
  override async append(...args: Parameters<EventLog["append"]>) {
    if (this.failures-- > 0) throw new Unavailable("the log is away");
    return super.append(...args);
  }
}

function failed(more: Partial<HealthReport> = {}): HealthReport {
  const base = { ok: false, httpStatus: 503, error: "HTTP 503", isFirst: false, exhausted: false };
  return { ...base, atMs: clockMs, ...more };
}
const accepted = (): HealthReport => ({
  ok: true,
  httpStatus: 200,
  error: null,
  atMs: clockMs,
  isFirst: true,
  exhausted: false,
});

function fail(health: EndpointHealth, target: Target, times: number, more: Partial<HealthReport> = {}): void {
  for (let time = 0; time < times; time += 1) health.report(target, failed(more));
}

/** Resolves once the process knows the target to be in that state. */
function until(health: EndpointHealth, { kind, id }: Target, state: EndpointState): Promise<void> {
  const isThere = () => health.states().get(`${kind}/${id}`) === state;
  return new Promise((resolve) => {
    if (isThere()) return resolve();
    const stop = health.onChange(() => {
      if (!isThere()) return;
      stop();
      resolve();
    });
  });
}

async function historyOf(target: Target): Promise<AnyEvent[]> {
  const history = await log.load(aggregateOf(target));
  if (history.length > 0) replay(endpointBehaviour, aggregateOf(target), history);
  return history.map(({ event }) => event);
}
const typesOf = async (target: Target) => (await historyOf(target)).map(({ type }) => type.split(".")[1]);

/** Makes the target open, seen from that process, with its first probe due in 30 s. */
async function open(health: EndpointHealth, target: Target): Promise<void> {
  fail(health, target, 5);
  await until(health, target, "failing");
  clockMs += 5 * MINUTE;
  fail(health, target, 15);
  await until(health, target, "open");
}

/** Writes down what `announce` would of a webhook's configuration. */
async function configure(target: Target, settings: Record<string, unknown>): Promise<number> {
  const aggregate = { kind: "config", workspaceId: 1, objectKind: "webhook", objectId: target.id } as const;
  const head = headOf(await log.load(aggregate));
  const data: EventData<"config.updated"> = {
    workspace_id: 1,
    kind: "webhook",
    object_id: target.id,
    name: "pager",
    actor: "test",
    settings,
  };
  const draft = { type: "config.updated" as const, machine: null, state: "updated", data };
  return (await log.append(aggregate, draft, head)).event.version;
}

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
    clockMs += 90_000;
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
    clockMs += ENDPOINT_POLICY.restMs;
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
    clockMs += 5 * MINUTE - 1;
    fail(health, often, 500);
    clockMs += 1;
    fail(health, long, 14);
    // Appends of one process keep their order: what follows tells that nothing came before.
    health.report(often, accepted());
    await until(health, often, "healthy");
    expect(health.states().get(`webhook/${long.id}`)).toBe("failing");
    fail(health, long, 1);
    await until(health, long, "open");
    expect(health.mayBegin(long)).toBe(false);
    expect(health.nextProbeAt(long)).toBe(clockMs + 30_000);
    expect(await typesOf(often)).toEqual(["healthy", "failing", "healthy"]);
    expect((await historyOf(long)).at(-1)?.data).toMatchObject({ probe: 1, consecutive_failures: 20 });
  });

  test("goes on where the log ends when a process starts", async () => {
    const first = await process();
    const target = newTarget();
    await first.load(1, target);
    fail(first, target, 5);
    await until(first, target, "failing");
    clockMs += 5 * MINUTE;
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
    clockMs += 1_000;
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
    await Promise.all([a, b, c].map((health) => health.load(1, target)));
    await open(a, target);
    await Promise.all([until(b, target, "open"), until(c, target, "open")]);
    clockMs += 29_999;
    const early = await Promise.all([a, b, c].map((health) => health.tryProbe(target)));
    expect(early).toEqual([false, false, false]);
    clockMs += 1;
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
    clockMs += 30_000;
    expect(await prober.tryProbe(target)).toBe(true);
    clockMs += 50;
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
      clockMs = health.nextProbeAt(target)!;
      expect(await health.tryProbe(target)).toBe(true);
      fail(health, target, 3, { isFirst: false });
      expect(health.states().get(`webhook/${target.id}`)).toBe("probing");
      fail(health, target, 1, { isFirst: true });
      await until(health, target, "open");
      pauses.push((health.nextProbeAt(target)! - clockMs) / 1_000);
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
    clockMs += 30_000;
    expect(await prober.tryProbe(target)).toBe(true);
    await until(other, target, "probing");
    await prober.close();
    clockMs += MINUTE - 1;
    expect(await other.tryProbe(target)).toBe(false);
    clockMs += 1;
    expect(other.nextProbeAt(target)).toBe(clockMs);
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
    expect(health.nextProbeAt(target)).toBe(clockMs);
    expect(await health.tryProbe(target)).toBe(true);
  });
});

describe("a webhook that is to be disabled", () => {
  /** What the options of the webhook say: 410, or three lost in a row. */
  const asking = (asked: unknown[]) => ({
    onDisable: async (target: { id: number }, wish: { reason: string; exhaustedInARow: number }) => {
      asked.push(wish);
      if (wish.reason === "gone" || wish.exhaustedInARow >= 3) {
        const reason = wish.reason as "gone";
        const settings = { enabled: false, disabled_reason: reason };
        return { configVersion: await configure({ kind: "webhook", id: target.id }, settings), reason };
      }
      return null;
    },
  });

  test("is disabled when it is gone, in every process, without five failures", async () => {
    const asked: unknown[] = [];
    const [health, other] = [await process(asking(asked)), await process()];
    const target = newTarget();
    await Promise.all([health.load(1, target), other.load(1, target)]);
    health.report(target, failed({ isFirst: true, httpStatus: 410, error: "HTTP 410" }));
    await Promise.all([until(health, target, "disabled"), until(other, target, "disabled")]);
    expect(other.mayBegin(target)).toBe(false);
    expect(asked).toEqual([{ reason: "gone", exhaustedInARow: 0 }]);
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({
      reason: "gone",
      config_version: 1,
      last_http_status: 410,
    });
    expect(await typesOf(target)).toEqual(["healthy", "disabled"]);
  });

  test("is disabled after so many lost deliveries in a row, of which an acceptance begins a new count", async () => {
    const asked: { exhaustedInARow: number }[] = [];
    const health = await process(asking(asked));
    const target = newTarget();
    await health.load(1, target);
    const lose = async (count: number) => {
      const before = asked.length;
      health.report(target, failed({ isFirst: false, exhausted: true }));
      await expect.poll(() => asked.length).toBe(before + 1);
      clockMs += ENDPOINT_POLICY.askEveryMs;
      expect(asked.at(-1)?.exhaustedInARow).toBe(count);
    };
    await lose(1);
    await lose(2);
    health.report(target, accepted());
    await lose(1);
    await lose(2);
    await lose(3);
    await until(health, target, "disabled");
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({ reason: "exhausted" });
  });

  test("is not asked about destinations", async () => {
    const asked: unknown[] = [];
    const health = await process(asking(asked));
    const target = newTarget("destination");
    await health.load(1, target);
    fail(health, target, 5, { httpStatus: 410, exhausted: true });
    await until(health, target, "failing");
    expect(asked).toEqual([]);
  });

  test("counts as healthy once its configuration enables it, and an older change does not matter", async () => {
    const [health, late] = [await process(asking([])), await process()];
    const target = newTarget();
    await health.load(1, target);
    await configure(target, { enabled: true });
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await late.load(1, target);
    expect(late.states().get(`webhook/${target.id}`)).toBe("disabled");
    await configure(target, { enabled: true });
    await Promise.all([until(health, target, "healthy"), until(late, target, "healthy")]);
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({
      fact: "target.enabled",
      config_version: 3,
    });
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });

  test("is found enabled when deliveries wait for it and word of it was lost", async () => {
    const [health, deaf] = [await process(asking([])), await process({ connection: withoutEars() })];
    const target = newTarget();
    await health.load(1, target);
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await deaf.load(1, target);
    await configure(target, { enabled: true });
    await until(health, target, "healthy");
    expect(deaf.mayBegin(target)).toBe(false);
    expect(await deaf.tryProbe(target)).toBe(false);
    await until(deaf, target, "healthy");
  });

  test("is made healthy by hand where no worker runs, once", async () => {
    const target = newTarget();
    const health = await process(asking([]));
    await health.load(1, target);
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await health.close();
    const enabled = { workspaceId: 1, id: target.id, configVersion: 2 };
    expect(await enableEndpoint(log, enabled)).toEqual({ wasDisabled: true });
    expect(await enableEndpoint(log, enabled)).toEqual({ wasDisabled: false });
    expect(await enableEndpoint(log, { ...enabled, id: nextId++ })).toEqual({ wasDisabled: false });
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });

  test("follows at its start what the configuration said while no worker ran", async () => {
    const target = newTarget();
    await configure(target, { enabled: false, disabled_reason: "gone" });
    const first = await process();
    await first.load(1, target);
    await until(first, target, "disabled");
    await first.close();
    await configure(target, { enabled: true });
    const second = await process();
    await second.load(1, target);
    await until(second, target, "healthy");
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });
});
