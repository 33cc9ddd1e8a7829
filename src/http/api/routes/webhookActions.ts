/** What is done with one webhook: a new secret, a ping. */
import { z } from "@hono/zod-openapi";
import { rotateWebhookSecret } from "../../../configuration/operations.ts";
import { readWebhook } from "../../../configuration/store.ts";
import { NotFound } from "../../../domain/errors.ts";
import { type PingResult, pingWebhook } from "../../../runtime/deliveries/ping.ts";
import { openOutboundPools } from "../../../security/outboundPools.ts";
import { WEBHOOK_USER_AGENT } from "../../../version.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { setEtag } from "../etag.ts";
import { presentTiming, shownHeaders, timingSchema, wireHeadersSchema } from "../objects/exchange.ts";
import { presentWebhook, webhookWithSecretSchema } from "../objects/webhook.ts";
import { placeOf, readWebhookRow } from "./webhooks.ts";

const TAG = "Webhooks";
/** The old secret can go on for a year at most, s. Source: ours. */
const MAX_OVERLAP_S = 366 * 86_400;

const rotationSchema = z.object({
  overlap_seconds: z
    .int({ error: "Give whole seconds." })
    .min(0, { error: "At least 0: the old secret stops at once." })
    .max(MAX_OVERLAP_S, { error: `At most ${MAX_OVERLAP_S}, a year.` })
    .optional()
    .openapi({ description: "how long the old secret signs too; left out: it stops at once", default: 0 }),
});

const rotate = endpoint(
  {
    method: "post",
    path: "/webhooks/{id}/rotate_secret",
    summary: "Give a webhook a new secret",
    description:
      "`secret` is shown this once. During an overlap the header webhook-signature carries a signature by each, " +
      "and X-Signature is by the new one alone. Deliveries that wait are signed when they are sent.",
    request: { params: idParams, body: jsonBody(rotationSchema, { overlap_seconds: 86_400 }, false) },
    responses: { 200: json(envelope("success", webhookWithSecretSchema), "the webhook with its new secret") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

const pingAnswerSchema = z
  .object({
    accepted: z.boolean().openapi({ description: "whether the answer was 2xx" }),
    event_id: z.string().openapi({ description: "as in the header X-Event-Id" }),
    http_status: z.int().nullable(),
    error: z.string().nullable().openapi({ description: "why there was no answer" }),
    duration_ms: z.number(),
    request_headers: wireHeadersSchema,
    response_headers: wireHeadersSchema.nullable(),
    response_body: z.string().nullable().openapi({ description: "its beginning" }),
    timing: timingSchema,
  })
  .openapi("Ping");

const ping = endpoint(
  {
    method: "post",
    path: "/webhooks/{id}/ping",
    summary: "Ping a webhook",
    description:
      'Sends `{"event":"ping","workspace_id":…}`, signed, once, at once, also while it is paused or disabled. It is ' +
      "no delivery: it is neither retried nor listed, and counts for nothing. This answers 200 whatever the endpoint did.",
    request: { params: idParams },
    responses: { 200: json(envelope("success", pingAnswerSchema), "what the endpoint answered") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

/** The room. */
export function webhookActionRoutes(desk: ApiDesk) {
  const room = rooms();
  const { db, box } = desk;

  room.openapi(rotate, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    await readWebhookRow(desk, place);
    const { overlap_seconds: overlapSeconds = 0 } = context.req.valid("json");
    const operation = { db, box, id: place.id, actor: actorOf(context.get("caller")) };
    const { secret } = await rotateWebhookSecret(operation, overlapSeconds * 1_000);
    const row = await readWebhookRow(desk, place);
    setEtag(context, row.version);
    return context.json(success({ ...presentWebhook(row, desk.now()), secret }), 200);
  });

  room.openapi(ping, async (context) => {
    const { id, workspaceId } = placeOf(context, context.req.valid("param").id);
    const webhook = await readWebhook(db, box, id);
    if (webhook === null || webhook.workspaceId !== workspaceId)
      throw new NotFound(`there is no webhook ${id}`);
    const pools = openOutboundPools(desk.outbound, { connections: 1 });
    try {
      const result = await pingWebhook(webhook, { pools, userAgent: WEBHOOK_USER_AGENT });
      return context.json(success(presentPing(result)), 200);
    } finally {
      await pools.close();
    }
  });

  return room;
}

function presentPing({ isAccepted, eventId, answer }: PingResult): z.infer<typeof pingAnswerSchema> {
  const { exchange, durationMs } = answer;
  return {
    accepted: isAccepted,
    event_id: eventId,
    http_status: answer.kind === "response" ? answer.httpStatus : null,
    error: answer.kind === "failed" ? answer.error : null,
    duration_ms: durationMs,
    request_headers: exchange.requestHeaders,
    response_headers: exchange.responseHeaders === null ? null : shownHeaders(exchange.responseHeaders),
    response_body: exchange.responseBody,
    timing: presentTiming(exchange.split),
  };
}
