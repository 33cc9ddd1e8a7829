/**
 * Pings a webhook: one signed request, at once, whose answer is for the operator who waits for it. It is no delivery:
 * it would wait behind a backlog, a pause or an open circuit, which is when one wants to ping, it has no run to belong
 * to, and its answer must not count for the endpoint's health or for lists of what was delivered.
 */
import { v7 as uuidv7 } from "uuid";
import { dispatcherOf } from "../../destinations/destination.ts";
import { type HttpResult, post } from "../../destinations/httpPost.ts";
import type { Webhook } from "../../domain/configuration.ts";
import { WEBHOOK_TIMEOUT_MS } from "../../domain/retryPolicy.ts";
import type { OutboundPools } from "../../security/outboundPools.ts";
import { webhookRequest } from "./webhookTarget.ts";

/** What a ping needs from outside. */
export interface PingOptions {
  pools: Pick<OutboundPools, "dispatcher" | "dispatcherFor">;
  /** Product and version for the User-Agent header. */
  userAgent: string;
  now?: () => number;
}

/** How a ping went: accepted when the answer was 2xx, as for a delivery (behaviour.md 6.6). */
export interface PingResult {
  isAccepted: boolean;
  /** Its `X-Event-Id`. */
  eventId: string;
  answer: HttpResult;
}

/** The bytes of a ping. Source: ours; behaviour.md 6.10. */
export function pingPayload(workspaceId: number): string {
  return JSON.stringify({ event: "ping", workspace_id: workspaceId });
}

/** Sends one ping, signed and bounded like an attempt of a delivery, also to a webhook that is paused or disabled. */
export async function pingWebhook(
  webhook: Webhook,
  { pools, userAgent, now = Date.now }: PingOptions,
): Promise<PingResult> {
  const eventId = uuidv7();
  const pending = {
    payload: pingPayload(webhook.workspaceId),
    event_id: eventId,
    delivery_id: `ping-${eventId}`,
  };
  const request = webhookRequest(webhook, pending, { attempt: 1, userAgent, nowMs: now() });
  const answer = await post({
    url: webhook.endpoint,
    method: "POST",
    ...request,
    timeoutMs: WEBHOOK_TIMEOUT_MS,
    dispatcher: dispatcherOf(pools, webhook.tls),
  });
  const isAccepted = answer.kind === "response" && answer.httpStatus >= 200 && answer.httpStatus < 300;
  return { isAccepted, eventId, answer };
}
