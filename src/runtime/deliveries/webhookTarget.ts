/** Sends lifecycle events to webhooks: the stored payload, signed at the moment of sending with the current secret. */
import type { Dispatcher } from "undici";
import { dispatcherOf } from "../../destinations/destination.ts";
import { type HttpResult, post } from "../../destinations/httpPost.ts";
import type { EndpointTls, Webhook } from "../../domain/configuration.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import { MAX_RETRY_AFTER_MS, parseRetryAfter } from "../../domain/retryPolicy.ts";
import { signBody, signStandardWebhook } from "../../security/signature.ts";
import type { AttemptOutcome, Target, TargetBounds } from "./attempt.ts";
import type { PendingData } from "./deliveryActor.ts";
import { remember } from "./recent.ts";

export interface WebhookTargetOptions {
  /** Null when the webhook was deleted. */
  readWebhook(id: number): Promise<Webhook | null>;
  /** What differs when a webhook changed, see recent.ts. */
  stamps?: (ids: number[]) => Promise<Map<number, string>>;
  dispatcher: Dispatcher;
  /** The pool of a webhook with TLS settings of its own. */
  dispatcherFor?: (tls: EndpointTls) => Dispatcher;
  /** Product and version for the User-Agent header. */
  userAgent: string;
  now?: () => number;
}

/** Attempts under way at one webhook in one process: five, and more while it answers well. Source: ours; behaviour.md 6.9. */
const BOUNDS = { fewest: 5, most: 100 };
/** A changed endpoint or secret holds for attempts that start later than this, ms. */
const MEMORY_MS = 500;

/** The target that webhooks are. */
export function webhookTarget({
  readWebhook,
  stamps,
  userAgent,
  now = Date.now,
  ...pools
}: WebhookTargetOptions): Target {
  const recentWebhook = remember({ ttlMs: MEMORY_MS, read: readWebhook, stamps });
  return {
    bounds(targetId) {
      const known = recentWebhook(targetId);
      return known instanceof Promise ? known.then(boundsOf) : boundsOf(known);
    },
    async attempt(pending, attempt, context) {
      const known = recentWebhook(pending.target_id);
      const webhook = known instanceof Promise ? await known : known;
      if (webhook === null) return { kind: "dropped", reason: "target_deleted" };
      if (!webhook.enabled) return { kind: "dropped", reason: "target_disabled" };
      const request = webhookRequest(webhook, pending, { attempt, userAgent, nowMs: now() });
      if (context?.traceparent !== undefined) request.headers["traceparent"] = context.traceparent;
      context?.sending?.({ method: "POST", url: webhook.endpoint });
      const answer = await post({
        url: webhook.endpoint,
        method: "POST",
        ...request,
        timeoutMs: pending.timeout_ms,
        dispatcher: dispatcherOf(pools, webhook.tls),
      });
      return outcomeOf(answer, webhook.honorRetryAfter === true);
    },
    // Nobody waits for a lifecycle event: the outcome never affects the run (behaviour.md 6.9).
    settle: () => undefined,
  };
}

function boundsOf(webhook: Webhook | null): TargetBounds {
  return { ...BOUNDS, isPaused: webhook?.paused === true, isGone: webhook?.enabled !== true };
}

function outcomeOf(answer: HttpResult, honorsRetryAfter: boolean): AttemptOutcome {
  const { startedAt, durationMs, exchange } = answer;
  const timing = { startedAt, durationMs, exchange };
  if (answer.kind === "failed") return { kind: "failed", httpStatus: null, error: answer.error, ...timing };
  const { httpStatus } = answer;
  if (httpStatus >= 200 && httpStatus < 300) return { kind: "accepted", httpStatus, ...timing };
  // Every answer but 2xx is tried again by the schedule, redirects and 410 included (behaviour.md 6.6, 6.7).
  const failed = { kind: "failed", httpStatus, error: `HTTP ${httpStatus}`, ...timing } as const;
  const asked = honorsRetryAfter
    ? parseRetryAfter(firstValue(answer.headers["retry-after"]), new Date())
    : null;
  return asked === null ? failed : { ...failed, atLeastMs: Math.min(asked, MAX_RETRY_AFTER_MS) };
}

function firstValue(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}

/**
 * Headers and bytes of one attempt (behaviour.md 6.4, 6.5). The same bytes are signed and sent (I9). Beside
 * X-Signature stand the Standard Webhooks headers over the same secret; `webhook-id` is the event's id. While the
 * secret before a rotation still holds, they carry a signature by each, and X-Signature is by the new one.
 */
export function webhookRequest(
  webhook: Pick<Webhook, "id" | "secret" | "previousSecret">,
  pending: Pick<PendingData, "payload" | "event_id" | "delivery_id">,
  { attempt, userAgent, nowMs }: { attempt: number; userAgent: string; nowMs: number },
): { headers: Record<string, string>; body: Buffer } {
  const { payload, event_id: id } = pending;
  if (payload === null || id === null) {
    throw new LogCorrupt(`delivery ${pending.delivery_id} to a webhook has no payload`);
  }
  const body = Buffer.from(payload, "utf8");
  const timestampSeconds = Math.floor(nowMs / 1000);
  const secrets = [webhook.secret, webhook.previousSecret ?? null].filter((secret) => secret !== null);
  const signatures = secrets.map((secret) => signStandardWebhook({ secret, id, timestampSeconds, body }));
  return {
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": userAgent,
      "x-signature": signBody(webhook.secret, body),
      "x-webhook-id": String(webhook.id),
      "x-event-id": id,
      "x-delivery-id": pending.delivery_id,
      "x-delivery-attempt": String(attempt),
      "webhook-id": id,
      "webhook-timestamp": String(timestampSeconds),
      "webhook-signature": signatures.join(" "),
    },
  };
}
