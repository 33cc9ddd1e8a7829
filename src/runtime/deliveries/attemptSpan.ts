/** What the span of an attempt says, by the semantic conventions for HTTP clients; egret.* is ours. */

import type { SpanFacts } from "../telemetry/tracing.ts";
import type { AttemptOutcome, Dropped } from "./attempt.ts";
import type { PendingData } from "./deliveryActor.ts";

type MadeRequest = Exclude<AttemptOutcome, Dropped>;

/** Which delivery it is. */
export function deliveryFacts(data: PendingData): SpanFacts {
  return {
    "egret.delivery.id": data.delivery_id,
    "egret.target.kind": data.target_kind,
    "egret.target.id": data.target_id,
    "egret.run.id": data.sync_run_id,
    ...(data.event === null ? { "egret.records": data.records } : { "egret.event": data.event }),
  };
}

/** All of one attempt. Of the address only host and port: paths and queries of webhooks hold secrets. */
export function attemptFacts(made: {
  pending: PendingData;
  attempt: number;
  request: { method: string; url: string } | null;
  outcome: MadeRequest;
  state: string;
}): SpanFacts {
  const { pending, attempt, request, outcome, state } = made;
  return {
    ...deliveryFacts(pending),
    "egret.attempt": attempt,
    "egret.outcome": outcome.kind,
    "egret.delivery.state": state,
    ...(request === null ? {} : addressFacts(request)),
    ...(attempt === 1 ? {} : { "http.request.resend_count": attempt - 1 }),
    ...(outcome.httpStatus === null ? {} : { "http.response.status_code": outcome.httpStatus }),
  };
}

/** `error.type`: the status where there is one, else what went wrong with the connection. */
export function errorOf(outcome: Exclude<MadeRequest, { kind: "accepted" }>): string {
  return outcome.httpStatus === null ? outcome.error : String(outcome.httpStatus);
}

function addressFacts({ method, url }: { method: string; url: string }): SpanFacts {
  const { protocol, hostname, port } = new URL(url);
  const scheme = protocol.slice(0, -1);
  return {
    "http.request.method": method,
    "url.scheme": scheme,
    "server.address": hostname,
    "server.port": port === "" ? (scheme === "https" ? 443 : 80) : Number(port),
  };
}
