/** Replays: jobs that deliver again what a filter finds, or what a webhook missed, and go on after a crash. */
import { setTimeout as delay } from "node:timers/promises";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { InvalidInput, NotFound } from "../../../domain/errors.ts";
import { previewReplay, requestReplay } from "../../../runtime/replays/replayRequest.ts";
import {
  pageOfReplays,
  type ReplayRow,
  readReplay,
  wishCancelled,
} from "../../../runtime/replays/replayStore.ts";
import { created, envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { ApiRefusal } from "../apiErrors.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { newReplaySchema, presentReplay, replaySchema, wantedBy } from "../objects/replay.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { type Place, placeOf, readWebhookRow, SHOWN_WITHIN_MS } from "./webhooks.ts";

const TAG = "Replays";
const LOOK_EVERY_MS = 25;

const begin = endpoint(
  {
    method: "post",
    path: "/webhooks/{id}/replays",
    summary: "Deliver again what a filter finds, or what the webhook missed",
    description:
      "Ids and bytes stay the same, so receivers that know X-Event-Id see what they had before. It takes what was " +
      "created before now, in the background, and goes on after a crash.",
    request: {
      params: idParams,
      body: jsonBody(newReplaySchema, { state: "dead", since: "2026-02-03T14:00:00Z" }, false),
    },
    responses: {
      200: json(
        envelope("success", z.object({ would_replay: z.int() })),
        "how many there would be (validate_only)",
      ),
      201: json(envelope("created", replaySchema), "requested"),
    },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const listOfWebhook = endpoint(
  {
    method: "get",
    path: "/webhooks/{id}/replays",
    summary: "List the replays for a webhook",
    request: { params: idParams, query: pageQuery },
    responses: { 200: json(listOf(replaySchema), "a page of replays") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const list = endpoint(
  {
    method: "get",
    path: "/replays",
    summary: "List replays",
    request: { query: pageQuery },
    responses: { 200: json(listOf(replaySchema), "a page of replays") },
  },
  { tag: TAG, scope: "read" },
);

const show = endpoint(
  {
    method: "get",
    path: "/replays/{id}",
    summary: "Show a replay and how far it is",
    request: { params: idParams },
    responses: { 200: json(envelope("success", replaySchema), "the replay") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const cancel = endpoint(
  {
    method: "post",
    path: "/replays/{id}/cancel",
    summary: "Cancel a replay",
    description: "What it began again by then stays begun. `cancelling` until a worker has seen the wish.",
    request: { params: idParams },
    responses: { 200: json(envelope("cancelled", replaySchema), "cancelled, or about to be") },
  },
  { tag: TAG, scope: "operate", refusals: [404, 409] },
);

/** The room. */
export function replayRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db, connection, log } = desk;
  const parts = { db, connection, log };
  const presented = { present: presentReplay, idOf: ({ id }: ReplayRow) => id };

  room.openapi(begin, async (context) => {
    const { workspaceId, id: webhookId } = placeOf(context, context.req.valid("param").id);
    await readWebhookRow(desk, { workspaceId, id: webhookId });
    const body = context.req.valid("json");
    const wanted = wantedBy(body, { webhookId, now: desk.now() });
    if ("faults" in wanted) throw invalidReplay(wanted.faults);
    if (body.validate_only) {
      const count = await previewReplay(parts, { workspaceId, wanted });
      return context.json(success({ would_replay: count }), 200);
    }
    const requestedBy = actorOf(context.get("caller"));
    const request = { workspaceId, wanted, requestedBy, ratePerSecond: body.rate_per_second };
    const replayId = await requestReplay(parts, request);
    const row = await mustRead(desk, { workspaceId, id: replayId });
    return context.json(created(presentReplay(row)), 201);
  });

  room.openapi(listOfWebhook, async (context) => {
    const { workspaceId, id: webhookId } = placeOf(context, context.req.valid("param").id);
    await readWebhookRow(desk, { workspaceId, id: webhookId });
    const query = context.req.valid("query");
    const found = await pageOfReplays(db, { workspaceId, webhookId, ...cutOf(query) });
    return context.json(listAnswer(context, query, found, presented), 200);
  });

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const found = await pageOfReplays(db, { workspaceId: context.get("workspaceId"), ...cutOf(query) });
    return context.json(listAnswer(context, query, found, presented), 200);
  });

  room.openapi(show, async (context) => {
    const row = await mustRead(desk, placeOf(context, context.req.valid("param").id));
    return context.json(success(presentReplay(row)), 200);
  });

  room.openapi(cancel, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const before = await mustRead(desk, place);
    if (before.state !== "requested") throw hasEnded(before);
    await wishCancelled(db, place.id, actorOf(context.get("caller")));
    const row = await untilEnded(desk, place);
    // It may have come to its end before the wish was seen.
    if (row.state === "completed" || row.state === "failed") throw hasEnded(row);
    return context.json({ status: "cancelled" as const, data: presentReplay(row) }, 200);
  });

  return room;
}

/** @throws NotFound when the workspace has no replay of that id. */
async function mustRead({ db }: Pick<ApiDesk, "db">, { workspaceId, id }: Place): Promise<ReplayRow> {
  const row = await readReplay(db, id);
  if (row === null || row.workspace_id !== workspaceId) throw new NotFound(`there is no replay ${id}`);
  return row;
}

/** The replay once it has ended; as it is when its worker takes longer, or there is none. */
async function untilEnded(desk: Pick<ApiDesk, "db">, place: Place): Promise<ReplayRow> {
  const deadline = performance.now() + SHOWN_WITHIN_MS;
  for (;;) {
    const row = await mustRead(desk, place);
    if (row.state !== "requested" || performance.now() > deadline) return row;
    await delay(LOOK_EVERY_MS);
  }
}

function hasEnded({ id, state }: ReplayRow): ApiRefusal {
  return new ApiRefusal(409, `Replay ${id} has ended already: ${state}.`);
}

function invalidReplay(faults: readonly { field: string; message: string }[]): InvalidInput {
  return new InvalidInput(faults.map(({ field, message }) => `${field}: ${message}`).join(" "), faults);
}
