/** /webhooks: the subscribers to sync lifecycle events. What one answers to a ping and its secret are in webhookActions.ts. */
import type { Context } from "hono";
import { createObject, deleteObject, type EntryOf, updateObject } from "../../../configuration/objectDesk.ts";
import { NotFound } from "../../../domain/errors.ts";
import { waitForSequence } from "../../../projections/checkpoint.ts";
import { enableEndpoint } from "../../../runtime/endpoints/endpointTransitions.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { configurationDesk } from "../configurationDesk.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { namingFields } from "../fieldNames.ts";
import {
  newWebhookSchema,
  presentWebhook,
  selectWebhooks,
  type WebhookChanges,
  type WebhookRow,
  webhookChangesSchema,
  webhookSchema,
  webhookWithSecretSchema,
} from "../objects/webhook.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "Webhooks";
/** Clients that know no pages of webhooks get so many at once. */
const UNPAGED = 1_000;
/** A change of the log is awaited in the read models for so long, ms. */
export const SHOWN_WITHIN_MS = 2_000;

const EXAMPLE = {
  name: "Pager",
  description: "failed syncs",
  endpoint: "https://ops.example.org/hooks/sync",
  events: ["sync.failed", "sync.alert.raised", "sync.alert.resolved"],
};

const list = endpoint(
  {
    method: "get",
    path: "/webhooks",
    summary: "List webhooks",
    description: `Without \`page\`, \`per_page\` and \`cursor\` up to ${UNPAGED} come at once.`,
    request: { query: pageQuery },
    responses: { 200: json(listOf(webhookSchema), "webhooks, without their secrets") },
  },
  { tag: TAG, scope: "read" },
);

const create = endpoint(
  {
    method: "post",
    path: "/webhooks",
    summary: "Create a webhook",
    description: "`secret` is shown this once; every request is signed with it (header X-Signature).",
    request: { body: jsonBody(newWebhookSchema, EXAMPLE) },
    responses: { 201: json(envelope("created", webhookWithSecretSchema), "made") },
  },
  { tag: TAG, scope: "admin" },
);

const show = endpoint(
  {
    method: "get",
    path: "/webhooks/{id}",
    summary: "Show a webhook",
    request: { params: idParams },
    responses: { 200: json(envelope("success", webhookSchema), "the webhook, without its secret") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const change = endpoint(
  {
    method: "patch",
    path: "/webhooks/{id}",
    summary: "Change a webhook",
    description:
      "What is left out stays. Changed events count for what happens afterwards, a changed endpoint from the next " +
      "attempt on. `enabled: false` is what `egret webhook disable` does, and outlasts `egret apply`; `enabled: true` also " +
      "lets one go on that was disabled by itself.",
    request: { params: idParams, body: jsonBody(webhookChangesSchema, { events: ["sync.failed"] }) },
    responses: { 200: json(envelope("updated", webhookSchema), "the webhook as it is now") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/webhooks/{id}",
    summary: "Delete a webhook",
    description:
      "What waits for it is dropped; what was delivered stays listed as long as deliveries are kept.",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "deleted") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

/** The room. */
export function webhookRoutes(desk: ApiDesk) {
  const room = rooms();
  const objects = configurationDesk(desk);

  room.openapi(list, async (context) => {
    const asked = context.req.valid("query");
    const isPaged = ["page", "per_page", "cursor"].some((name) => context.req.query(name) !== undefined);
    const query = isPaged ? asked : { ...asked, per_page: UNPAGED };
    const found = await readPage(desk, context.get("workspaceId"), cutOf(query));
    const now = desk.now();
    return context.json(
      listAnswer(context, query, found, { present: (row) => presentWebhook(row, now), idOf: ({ id }) => id }),
      200,
    );
  });

  room.openapi(create, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { name, ...settings } = context.req.valid("json");
    const entry = applyTo({ endpoint: settings.endpoint }, settings);
    const actor = actorOf(context.get("caller"));
    const wanted = { workspaceId, actor, kind: "webhook", label: name, entry } as const;
    const made = await namingFields(nameOf, () => createObject(objects, wanted));
    const row = await readWebhookRow(desk, { workspaceId, id: made.id });
    setEtag(context, row.version);
    const data = { ...presentWebhook(row, desk.now()), secret: made.webhookSecret ?? "" };
    return context.json(created(data), 201);
  });

  room.openapi(show, async (context) => {
    const row = await readWebhookRow(desk, placeOf(context, context.req.valid("param").id));
    setEtag(context, row.version);
    return context.json(success(presentWebhook(row, desk.now())), 200);
  });

  room.openapi(change, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { name, paused, enabled, ...others } = context.req.valid("json");
    // What a file disabled is enabled in its entry; what is disabled here stands beside it.
    const settings = enabled === true ? { ...others, enabled } : others;
    const actor = actorOf(context.get("caller"));
    const wanted = {
      ...place,
      actor,
      kind: "webhook",
      expectedVersions: expectedVersions(context),
      edit: (entry: Entry) => applyTo(entry, settings),
      ...(name === undefined ? {} : { label: name }),
      ...(paused === undefined ? {} : { pausedByHand: paused }),
      ...(enabled === undefined ? {} : { switchedByHand: enabled }),
    } as const;
    await namingFields(nameOf, () => updateObject(objects, wanted));
    if (enabled === true) await enableAtOnce(desk, place);
    const row = await readWebhookRow(desk, place);
    setEtag(context, row.version);
    return context.json(updated(presentWebhook(row, desk.now())), 200);
  });

  room.openapi(remove, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(objects, { ...place, ...by, kind: "webhook" });
    return context.json(deleted(), 200);
  });

  return room;
}

/** Where an object of the caller's is. */
export interface Place {
  workspaceId: number;
  id: number;
}

/** The place that a path names in the caller's workspace. */
export function placeOf(context: Context<ApiEnv>, id: number): Place {
  return { workspaceId: context.get("workspaceId"), id };
}

/**
 * The webhook of a workspace.
 * @throws NotFound when it has none of that id.
 */
export async function readWebhookRow(
  { db }: Pick<ApiDesk, "db">,
  { workspaceId, id }: Place,
): Promise<WebhookRow> {
  const row = await selectWebhooks(db, workspaceId).where("webhook.id", "=", id).executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no webhook ${id}`);
  return row;
}

async function readPage(
  { db }: ApiDesk,
  workspaceId: number,
  { limit, offset, order, afterId }: ReturnType<typeof cutOf>,
): Promise<{ rows: WebhookRow[]; total: number }> {
  let page = selectWebhooks(db, workspaceId).orderBy("webhook.id", order).limit(limit).offset(offset);
  if (afterId !== null) page = page.where("webhook.id", order === "asc" ? ">" : "<", afterId);
  const counted = db
    .selectFrom("egret.webhooks")
    .select(({ fn }) => fn.countAll<number>().as("total"))
    .where("workspace_id", "=", workspaceId);
  const [rows, { total }] = await Promise.all([page.execute(), counted.executeTakeFirstOrThrow()]);
  return { rows, total };
}

type Settings = Omit<WebhookChanges, "name" | "paused">;
type Entry = EntryOf["webhook"];

/** The entry with what is given; null is nothing, as if it had been left out. */
function applyTo(entry: Entry, settings: Settings): Entry {
  const changed: Record<string, unknown> = { ...entry };
  for (const [field, value] of Object.entries(settings)) {
    if (value === null) delete changed[field];
    else if (value !== undefined) changed[field] = value;
  }
  return changed as Entry;
}

/** Of the entry's fields the API calls one otherwise. */
const nameOf = (field: string): string => (field === "label" ? "name" : field);

/** Its endpoint counts as healthy again when the answer comes, not only once a worker has heard of the change. */
async function enableAtOnce(desk: ApiDesk, { workspaceId, id }: Place): Promise<void> {
  const { db, log } = desk;
  const { version: configVersion } = await readWebhookRow(desk, { workspaceId, id });
  const { wasDisabled } = await enableEndpoint(log, { workspaceId, id, configVersion });
  if (!wasDisabled) return;
  const last = await log.last({ kind: "endpoint", workspaceId, targetKind: "webhook", targetId: id });
  if (last !== null) {
    await waitForSequence(db, { stream: "runs", sequence: last.sequence, timeoutMs: SHOWN_WITHIN_MS });
  }
}
