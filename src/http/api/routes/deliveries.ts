/** Deliveries to webhooks and of batches to destinations: lists, one with everything that was said, delivering again. */
import { z } from "@hono/zod-openapi";
import type { AppError } from "../../../domain/errors.ts";
import { waitForSequence } from "../../../projections/checkpoint.ts";
import type { Delivery } from "../../../projections/deliveries.ts";
import { readDeliveryDetail } from "../../../projections/deliveryDetail.ts";
import { findDeliveries } from "../../../projections/deliverySearch.ts";
import { deliveryAggregate } from "../../../runtime/deliveries/deliveryActor.ts";
import { type Redelivery, redeliver } from "../../../runtime/deliveries/redeliver.ts";
import { redeliveryDesk } from "../../../runtime/deliveries/redeliveryDesk.ts";
import { RunReader } from "../../../runtime/runs/runReader.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import {
  deliveryListSchema,
  deliveryPage,
  deliveryQuery,
  runDeliveryQuery,
  webhookDeliveryQuery,
} from "../deliveryPages.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { detailedDeliverySchema, presentDetailedDelivery } from "../objects/delivery.ts";
import { readDestinationRow } from "../objects/destination.ts";
import { placeOf, readWebhookRow, SHOWN_WITHIN_MS } from "./webhooks.ts";

const TAG = "Deliveries";

const deliveryId = z.string().regex(/^[\w-]{1,200}$/);
const deliveryParams = z.object({ did: deliveryId.openapi({ type: "string", example: "7011-3-14" }) });

const ofWebhook = endpoint(
  {
    method: "get",
    path: "/webhooks/{id}/deliveries",
    summary: "List the deliveries to a webhook",
    description: "Newest first unless asked otherwise, as far back as deliveries are kept.",
    request: { params: idParams, query: webhookDeliveryQuery },
    responses: { 200: json(deliveryListSchema, "a page of deliveries") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const ofDestination = endpoint(
  {
    method: "get",
    path: "/destinations/{id}/deliveries",
    summary: "List the batches that were sent to a destination",
    request: { params: idParams, query: deliveryQuery },
    responses: { 200: json(deliveryListSchema, "a page of deliveries") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const ofRun = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}/deliveries",
    summary: "List the deliveries of a run",
    description:
      "Its batches and what webhooks were told of it; those to targets that were deleted meanwhile too.",
    request: { params: idParams, query: runDeliveryQuery },
    responses: { 200: json(deliveryListSchema, "a page of deliveries") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const show = endpoint(
  {
    method: "get",
    path: "/webhook_deliveries/{did}",
    summary: "Show a delivery to a webhook",
    description: "With every attempt, and headers, answer and timing of each as long as those are kept.",
    request: { params: deliveryParams },
    responses: { 200: json(envelope("success", detailedDeliverySchema), "the delivery") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const showBatch = endpoint(
  {
    method: "get",
    path: "/destinations/{id}/deliveries/{did}",
    summary: "Show a batch that was sent to a destination",
    request: { params: idParams.extend(deliveryParams.shape) },
    responses: { 200: json(envelope("success", detailedDeliverySchema), "the delivery") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const again = endpoint(
  {
    method: "post",
    path: "/webhook_deliveries/{did}/redeliver",
    summary: "Deliver an ended delivery again",
    description:
      "The same id, event id and bytes, and the whole schedule of attempts once more: receivers that know " +
      "X-Event-Id see that they had it before. For many at once make a replay.",
    request: { params: deliveryParams },
    responses: { 200: json(envelope("success", detailedDeliverySchema), "it has begun again") },
  },
  { tag: TAG, scope: "operate", refusals: [404, 409, 410] },
);

/** The room. */
export function deliveryRoutes(desk: ApiDesk) {
  const room = rooms();
  const { db, log } = desk;
  const runs = new RunReader(desk);

  room.openapi(ofWebhook, async (context) => {
    const { id, workspaceId } = placeOf(context, context.req.valid("param").id);
    await readWebhookRow(desk, { id, workspaceId });
    const target = { workspaceId, targetKind: "webhook", targetId: id } as const;
    return context.json(await deliveryPage(db, context, { query: context.req.valid("query"), target }), 200);
  });

  room.openapi(ofDestination, async (context) => {
    const { id, workspaceId } = placeOf(context, context.req.valid("param").id);
    await readDestinationRow(db, { id, workspaceId });
    const target = { workspaceId, targetKind: "destination", targetId: id } as const;
    return context.json(await deliveryPage(db, context, { query: context.req.valid("query"), target }), 200);
  });

  room.openapi(ofRun, async (context) => {
    const { id: runId } = context.req.valid("param");
    const workspaceId = context.get("workspaceId");
    if ((await runs.read({ workspaceId, runId })) === null) throw notFound();
    const target = { workspaceId, runId };
    return context.json(await deliveryPage(db, context, { query: context.req.valid("query"), target }), 200);
  });

  room.openapi(show, async (context) => {
    const found = await webhookDelivery(desk, context.get("workspaceId"), context.req.valid("param").did);
    return context.json(success(presentDetailedDelivery(await readDeliveryDetail(db, found))), 200);
  });

  room.openapi(showBatch, async (context) => {
    const { id: targetId, did } = context.req.valid("param");
    const isMeant = (each: Delivery) => each.target_kind === "destination" && each.target_id === targetId;
    const found = await findOne(desk, { workspaceId: context.get("workspaceId"), did, isMeant });
    return context.json(success(presentDetailedDelivery(await readDeliveryDetail(db, found))), 200);
  });

  room.openapi(again, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { did } = context.req.valid("param");
    const found = await webhookDelivery(desk, workspaceId, did);
    const aggregate = deliveryAggregate({ ...found, delivery_id: found.id });
    const asked = { by: actorOf(context.get("caller")), replayId: null };
    const outcome = await redeliver({ log, desk: redeliveryDesk(db) }, aggregate, asked);
    if (outcome.kind !== "redelivered") throw refusalOf(found, outcome);
    const { sequence } = outcome.event;
    const isShown = await waitForSequence(db, { stream: "deliveries", sequence, timeoutMs: SHOWN_WITHIN_MS });
    const detail = await readDeliveryDetail(db, found);
    // Where the read models are behind, what they will show is told from the log.
    const shown = isShown ? detail : { ...detail, ...BEGUN_AGAIN, redeliveries: found.redeliveries + 1 };
    return context.json(success(presentDetailedDelivery(shown)), 200);
  });

  return room;
}

function webhookDelivery(desk: ApiDesk, workspaceId: number, did: string): Promise<Delivery> {
  return findOne(desk, { workspaceId, did, isMeant: (each) => each.target_kind === "webhook" });
}

/** @throws ApiRefusal (404) when there is none, or it is another workspace's. */
async function findOne(
  { db }: ApiDesk,
  { workspaceId, did, isMeant }: { workspaceId: number; did: string; isMeant(each: Delivery): boolean },
): Promise<Delivery> {
  const found = await findDeliveries(db, did);
  const own = found.find((each) => each.workspace_id === workspaceId && isMeant(each));
  if (own === undefined) throw notFound();
  return own;
}

const BEGUN_AGAIN = { state: "pending", death_reason: null, ended_at: null } as const;

/** Why it cannot be delivered again, and what to do instead. */
function refusalOf({ id, target_id: webhookId }: Delivery, outcome: Redelivery): AppError {
  switch (outcome.kind) {
    case "target_deleted":
      return new ApiRefusal(409, `Delivery ${id} cannot be sent again: webhook ${webhookId} was deleted.`);
    case "target_disabled":
      return new ApiRefusal(
        409,
        `Delivery ${id} cannot be sent again while webhook ${webhookId} is disabled: enable it first.`,
      );
    case "not_found":
    case "not_kept":
      return new ApiRefusal(410, `Delivery ${id} cannot be sent again: its history is no longer kept.`);
    default:
      return new ApiRefusal(409, `Delivery ${id} is under way: wait until it has ended.`);
  }
}
