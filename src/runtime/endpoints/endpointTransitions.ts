/** Moves endpoints in the log: one fact, one event; used by workers and, to enable a webhook again, by the command line. */
import type { EndpointFact } from "../../../machines/endpoint.ts";
import type { EndpointAggregate } from "../../domain/aggregate.ts";
import { ENDPOINT_POLICY } from "../../domain/endpointPolicy.ts";
import { VersionConflict } from "../../domain/errors.ts";
import type { AnyEvent } from "../../domain/event.ts";
import { type EventLog, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { record } from "../actor.ts";
import {
  asEndpoint,
  beginEndpoint,
  draftEndpoint,
  type EndpointActor,
  readEndpoint,
  type Telling,
} from "./endpointActor.ts";
import { dueSwitch, type SwitchSetting } from "./endpointStreak.ts";

/**
 * Appends the event of a fact and returns the endpoint after it; one without a history begins first.
 * @throws VersionConflict when someone else moved it first; FactRefused when the machine does not take the fact.
 */
export async function moveEndpoint(
  log: EventLog,
  move: { aggregate: EndpointAggregate; actor: EndpointActor | null; fact: EndpointFact; telling: Telling },
): Promise<EndpointActor> {
  const { aggregate, fact, telling } = move;
  const actor = move.actor ?? (await beginIn(log, aggregate, telling.nowMs));
  const recorded = await record(log, actor, draftEndpoint(actor, fact, telling));
  return asEndpoint(recorded, recorded.event);
}

async function beginIn(log: EventLog, aggregate: EndpointAggregate, nowMs: number): Promise<EndpointActor> {
  const { decision, draft } = beginEndpoint(aggregate);
  const first = { decision, draft: { ...draft, time: new Date(nowMs) } };
  const recorded = await record(log, { aggregate, head: NEW_AGGREGATE }, first);
  return asEndpoint(recorded, recorded.event);
}

/** What a configuration event says of a webhook's switch; null when it is no such event. */
export function switchSetting(event: AnyEvent): SwitchSetting | null {
  if (event.type !== "config.created" && event.type !== "config.updated") return null;
  const { kind, settings } = event.data;
  if (kind !== "webhook") return null;
  const reason = settings["disabled_reason"];
  return {
    version: event.version,
    enabled: settings["enabled"] === true,
    autoReason: reason === "gone" || reason === "exhausted" ? reason : null,
  };
}

/**
 * Makes the endpoint of a webhook that was enabled again healthy, if it is disabled; workers do the same once they
 * hear of the change. `configVersion` is the version that enabled it.
 * @throws Unavailable when the log does not answer.
 */
export async function enableEndpoint(
  log: EventLog,
  webhook: { workspaceId: number; id: number; configVersion: number },
): Promise<{ wasDisabled: boolean }> {
  const { workspaceId, id, configVersion } = webhook;
  const aggregate = { kind: "endpoint", workspaceId, targetKind: "webhook", targetId: id } as const;
  const setting = { version: configVersion, enabled: true, autoReason: null };
  for (;;) {
    const actor = await readEndpoint(log, aggregate);
    const fact = dueSwitch(actor, setting);
    if (actor === null || fact === null) return { wasDisabled: false };
    const { consecutive_failures, since, last_error, last_http_status } = actor.last.data;
    const outage = {
      consecutiveFailures: consecutive_failures,
      sinceMs: since === null ? null : Date.parse(since),
      lastError: last_error,
      lastHttpStatus: last_http_status,
    };
    try {
      const telling = { outage, nowMs: Date.now(), policy: ENDPOINT_POLICY };
      await moveEndpoint(log, { aggregate, actor, fact, telling });
      return { wasDisabled: true };
    } catch (error) {
      // A worker was first: what it wrote decides.
      if (!(error instanceof VersionConflict)) throw error;
    }
  }
}
