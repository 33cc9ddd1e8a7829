/** Makes the history of an endpoint from the facts that happened to it, checked event by event. */
import type { EndpointFact } from "../../machines/endpoint.ts";
import { ENDPOINT_POLICY } from "../../src/domain/endpointPolicy.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import type { Decision } from "../../src/runtime/actor.ts";
import { beginEndpoint, draftEndpoint } from "../../src/runtime/endpoints/endpointActor.ts";
import { EPOCH_MS, type EventParts, makeEvent } from "./events.ts";

export interface EndpointShape {
  targetKind?: "webhook" | "destination";
  targetId?: number;
  startMs?: number;
  facts: readonly EndpointFact[];
}

/** The history, from its first event; facts that the machine does not take in their place are left out. */
export function endpointHistory({
  targetKind = "webhook",
  targetId = 4,
  startMs = EPOCH_MS,
  facts,
}: EndpointShape): AnyEvent[] {
  const aggregate = { kind: "endpoint", workspaceId: 12, targetKind, targetId } as const;
  const events: AnyEvent[] = [];
  const add = ({ decision, draft }: { decision: Decision; draft: object }) => {
    const version = events.length + 1;
    events.push(
      makeEvent({
        ...(draft as EventParts<"endpoint.healthy">),
        subject: `endpoint/${targetKind}-${targetId}`,
        version,
        state: decision.state,
        atMs: startMs + version * 1000,
      }),
    );
    return decision.snapshot;
  };
  let snapshot = add(beginEndpoint(aggregate));
  for (const fact of facts) {
    if (!snapshot.can(fact)) continue;
    const outage = {
      consecutiveFailures: 4 + events.length,
      sinceMs: startMs,
      lastError: "HTTP 503",
      lastHttpStatus: 503,
    };
    const nowMs = startMs + (events.length + 1) * 1000;
    const telling = { outage, nowMs, policy: ENDPOINT_POLICY, reason: "gone" } as const;
    snapshot = add(draftEndpoint({ aggregate, snapshot }, fact, telling));
  }
  return events;
}
