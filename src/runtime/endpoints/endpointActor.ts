/** How an endpoint's events and its machine's facts correspond, and how an endpoint is brought up to date from the log. */
import {
  ENDPOINT_MACHINE,
  type EndpointContext,
  type EndpointFact,
  type EndpointState,
  endpointMachine,
} from "../../../machines/endpoint.ts";
import { aggregateName, type EndpointAggregate } from "../../domain/aggregate.ts";
import { type EndpointPolicy, probePauseMs } from "../../domain/endpointPolicy.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, EventData, StoredEvent } from "../../domain/event.ts";
import { type EventDraft, type EventLog, headOf } from "../../log/eventLog.ts";
import { type Actor, type Behaviour, begin, type Decision, decide, replay } from "../actor.ts";

/** Events of endpoints. */
export type EndpointEvent = Extract<AnyEvent, { type: `endpoint.${string}` }>;

/** An endpoint as its last event left it. */
export interface EndpointActor extends Actor {
  aggregate: EndpointAggregate;
  state: EndpointState;
  context: EndpointContext;
  last: EndpointEvent;
}

/** What is known of the failures that an event tells of; times in ms. */
export interface Outage {
  consecutiveFailures: number;
  sinceMs: number | null;
  lastError: string | null;
  lastHttpStatus: number | null;
}

const NO_OUTAGE: Outage = { consecutiveFailures: 0, sinceMs: null, lastError: null, lastHttpStatus: null };

/** A history longer than this, as of a target dead for months, is not folded again: the last event holds what counts. */
const MOST_FOLDED = 1_000;

export const endpointBehaviour: Behaviour<EndpointFact> = {
  name: ENDPOINT_MACHINE,
  machine: endpointMachine,
  input: () => undefined,
  fact: (event) => factOf(asEndpointEvent(event)),
};

function asEndpointEvent(event: AnyEvent): EndpointEvent {
  if (event.type.startsWith("endpoint.")) return event as EndpointEvent;
  throw new LogCorrupt(`${event.type} is no event of an endpoint`);
}

/** The fact in each event after the first. */
function factOf(event: EndpointEvent): EndpointFact {
  switch (event.type) {
    case "endpoint.healthy":
      if (event.data.fact === "target.accepted") return { type: "target.accepted" };
      return { type: "target.enabled", configVersion: event.data.config_version ?? 0 };
    case "endpoint.failing":
      return { type: event.data.fact };
    case "endpoint.open":
      if (event.data.fact === "failures.lasted") return { type: "failures.lasted" };
      return { type: "probe.failed", probe: event.data.probe - 1 };
    case "endpoint.probing":
      return { type: "probe.begun", probe: event.data.probe };
    case "endpoint.disabled":
      return { type: "target.disabled", configVersion: event.data.config_version };
  }
}

/** The decision and the event by which an endpoint that nobody has seen fail comes into being: healthy. */
export function beginEndpoint(aggregate: EndpointAggregate): {
  decision: Decision;
  draft: Omit<EventDraft, "state">;
} {
  const data: EventData<"endpoint.healthy"> = {
    ...factsOf(aggregate, NO_OUTAGE),
    fact: "created",
    outage_ms: null,
    config_version: null,
  };
  const decision = begin(endpointBehaviour, undefined);
  return { decision, draft: { type: "endpoint.healthy", machine: ENDPOINT_MACHINE, data } };
}

/** What an event tells beside its fact. `reason` is needed for `target.disabled` only. */
export interface Telling {
  outage: Outage;
  nowMs: number;
  policy: EndpointPolicy;
  reason?: "gone" | "exhausted";
}

/**
 * The decision that a fact leads to, and its event.
 * @throws FactRefused when the machine does not take the fact now.
 */
export function draftEndpoint(
  { aggregate, snapshot }: Pick<EndpointActor, "aggregate" | "snapshot">,
  fact: EndpointFact,
  { outage, nowMs, policy, reason = "exhausted" }: Telling,
): { decision: Decision; draft: Omit<EventDraft, "state"> } {
  const decision = decide(snapshot, fact);
  const facts = factsOf(aggregate, outage);
  const draft = (type: EndpointEvent["type"], data: object) => ({
    decision,
    draft: { type, machine: ENDPOINT_MACHINE, data, time: new Date(nowMs) } as Omit<EventDraft, "state">,
  });
  switch (fact.type) {
    case "failures.repeated":
      return draft("endpoint.failing", { ...facts, fact: fact.type });
    case "failures.lasted":
    case "probe.failed": {
      const { probes } = decision.snapshot.context as EndpointContext;
      const next_probe_at = new Date(nowMs + probePauseMs(policy, probes)).toISOString();
      return draft("endpoint.open", { ...facts, fact: fact.type, probe: probes + 1, next_probe_at });
    }
    case "probe.begun":
      return draft("endpoint.probing", { ...facts, fact: fact.type, probe: fact.probe });
    case "target.disabled":
      return draft("endpoint.disabled", {
        ...facts,
        fact: fact.type,
        reason,
        config_version: fact.configVersion,
      });
    case "target.accepted":
    case "target.enabled": {
      const outage_ms = outage.sinceMs === null ? null : Math.max(0, nowMs - outage.sinceMs);
      const config_version = fact.type === "target.enabled" ? fact.configVersion : null;
      return draft("endpoint.healthy", { ...facts, fact: fact.type, outage_ms, config_version });
    }
  }
}

function factsOf({ workspaceId, targetKind, targetId }: EndpointAggregate, outage: Outage) {
  const { consecutiveFailures, sinceMs, lastError, lastHttpStatus } = outage;
  return {
    workspace_id: workspaceId,
    target_kind: targetKind,
    target_id: targetId,
    consecutive_failures: consecutiveFailures,
    since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
    last_error: lastError,
    last_http_status: lastHttpStatus,
  };
}

/** An actor after an event, seen as an endpoint. */
export function asEndpoint(actor: Actor, last: AnyEvent): EndpointActor {
  const { snapshot } = actor;
  return {
    ...actor,
    aggregate: actor.aggregate as EndpointAggregate,
    state: snapshot.value as EndpointState,
    context: snapshot.context as EndpointContext,
    last: asEndpointEvent(last),
  };
}

/**
 * The endpoint as the log has it now; null while nobody has seen it fail. `known` saves reading what was read before.
 * @throws Unavailable when the log cannot be read, LogCorrupt when it makes no sense.
 */
export async function readEndpoint(
  log: Pick<EventLog, "last" | "load">,
  aggregate: EndpointAggregate,
  known: EndpointActor | null = null,
): Promise<EndpointActor | null> {
  const last = await log.last(aggregate);
  if (last === null) return null;
  const { version } = last.event;
  if (version === known?.head.version) return known;
  if (known !== null && version === known.head.version + 1) return follow(known, last);
  if (version > MOST_FOLDED) return resume(aggregate, last);
  const history = await log.load(aggregate);
  return asEndpoint(replay(endpointBehaviour, aggregate, history), (history.at(-1) as StoredEvent).event);
}

function follow(known: EndpointActor, stored: StoredEvent): EndpointActor {
  const { aggregate } = known;
  const { snapshot, state, effects } = decide(known.snapshot, endpointBehaviour.fact(stored.event));
  if (state !== stored.event.state) {
    const { version } = stored.event;
    throw new LogCorrupt(
      `${aggregateName(aggregate)} version ${version} says state ${stored.event.state}, it leads to ${state}`,
    );
  }
  return asEndpoint({ aggregate, snapshot, effects, head: headOf([stored]) }, stored.event);
}

/** The endpoint from its last event alone: each one carries all of the machine's memory that matters in its state. */
export function resume(aggregate: EndpointAggregate, stored: StoredEvent): EndpointActor {
  const event = asEndpointEvent(stored.event);
  const probes = { "endpoint.open": -1, "endpoint.probing": 0 } as const;
  const context: EndpointContext = {
    probes:
      event.type === "endpoint.open" || event.type === "endpoint.probing"
        ? event.data.probe + probes[event.type]
        : 0,
    configVersion: ("config_version" in event.data ? event.data.config_version : null) ?? 0,
  };
  const snapshot = endpointMachine.resolveState({ value: event.state, context });
  return asEndpoint({ aggregate, snapshot, effects: [], head: headOf([stored]) }, event);
}
