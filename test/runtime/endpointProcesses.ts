/** Processes that watch the health of targets, each with a connection and a view of its own, on one clock. */
import { pino } from "pino";
import { afterEach } from "vitest";
import type { EndpointState } from "../../machines/endpoint.ts";
import type { EndpointAggregate } from "../../src/domain/aggregate.ts";
import { Unavailable } from "../../src/domain/errors.ts";
import type { AnyEvent, EventData } from "../../src/domain/event.ts";
import { connectLog, type LogConnection } from "../../src/log/connection.ts";
import { EventLog, headOf } from "../../src/log/eventLog.ts";
import { replay } from "../../src/runtime/actor.ts";
import type { HealthReport } from "../../src/runtime/deliveries/circuit.ts";
import { endpointBehaviour } from "../../src/runtime/endpoints/endpointActor.ts";
import { EndpointHealth, type EndpointHealthOptions } from "../../src/runtime/endpoints/endpointHealth.ts";
import { testLog } from "../support/log.ts";
import { natsUrl } from "../support/namespace.ts";

export const { connection, log } = await testLog();
export const MINUTE = 60_000;
export const START = Date.UTC(2026, 0, 5, 9);

/** The clock of all processes, ms. */
export const clock = { ms: START };
let nextId = 1;
export const processes: { health: EndpointHealth; connection: LogConnection; log: EventLog }[] = [];

afterEach(async () => {
  clock.ms = START;
  for (const { health, connection, log } of processes.splice(0)) {
    await health.close();
    log.close();
    await connection.close();
  }
});

export const newTarget = (kind: "webhook" | "destination" = "webhook") => ({ kind, id: nextId++ });
export type Target = ReturnType<typeof newTarget>;
const aggregateOf = ({ kind, id }: Target): EndpointAggregate => ({
  kind: "endpoint",
  workspaceId: 1,
  targetKind: kind,
  targetId: id,
});

/** A process of its own: another connection, another view; what it has in memory is its own. */
export async function process(options: Partial<EndpointHealthOptions> & { flaky?: boolean } = {}) {
  const own = await connectLog(natsUrl(), connection.topology);
  const ownLog = options.flaky === true ? new FlakyLog(own) : new EventLog(own);
  const health = new EndpointHealth({
    log: ownLog,
    connection: own,
    logger: pino({ level: "silent" }),
    now: () => clock.ms,
    ...options,
  });
  processes.push({ health, connection: own, log: ownLog });
  await own.nc.flush();
  return health;
}

/** A connection on which nothing is heard of what others do. */
export function withoutEars(): LogConnection {
  return { ...connection, nc: { subscribe: () => ({ unsubscribe: () => undefined }) } as never };
}

class FlakyLog extends EventLog {
  failures = 1;
  override async append(...args: Parameters<EventLog["append"]>) {
    if (this.failures-- > 0) throw new Unavailable("the log is away");
    return super.append(...args);
  }
}

export function failed(more: Partial<HealthReport> = {}): HealthReport {
  const base = { ok: false, httpStatus: 503, error: "HTTP 503", isFirst: false, exhausted: false };
  return { ...base, atMs: clock.ms, ...more };
}
export const accepted = (): HealthReport => ({
  ok: true,
  httpStatus: 200,
  error: null,
  atMs: clock.ms,
  isFirst: true,
  exhausted: false,
});

export function fail(
  health: EndpointHealth,
  target: Target,
  times: number,
  more: Partial<HealthReport> = {},
): void {
  for (let time = 0; time < times; time += 1) health.report(target, failed(more));
}

/** Resolves once the process knows the target to be in that state. */
export function until(health: EndpointHealth, { kind, id }: Target, state: EndpointState): Promise<void> {
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

export async function historyOf(target: Target): Promise<AnyEvent[]> {
  const history = await log.load(aggregateOf(target));
  if (history.length > 0) replay(endpointBehaviour, aggregateOf(target), history);
  return history.map(({ event }) => event);
}
export const typesOf = async (target: Target) =>
  (await historyOf(target)).map(({ type }) => type.split(".")[1]);

/** Makes the target open, seen from that process, with its first probe due in 30 s. */
export async function open(health: EndpointHealth, target: Target): Promise<void> {
  fail(health, target, 5);
  await until(health, target, "failing");
  clock.ms += 5 * MINUTE;
  fail(health, target, 15);
  await until(health, target, "open");
}

/** Writes down what `announce` would of a webhook's configuration. */
export async function configure(target: Target, settings: Record<string, unknown>): Promise<number> {
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
