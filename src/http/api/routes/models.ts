/** Models: SELECT statements over a source, at /sources/{id}/models and /models. Newer clients read them as datasets. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { deleteObject } from "../../../configuration/objectDesk.ts";
import { findRefresh } from "../../../configuration/sourceObjects.ts";
import { refreshColumns } from "../../../runtime/sourceRefresh.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParam, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { changeModel, descriptionSchema, makeModel, queryText, readModelPage } from "../modelWrites.ts";
import { modelSchema, presentModel, readModelRow } from "../objects/model.ts";
import { refreshQuery, sourceRefreshSchema, sourceRefreshStatusSchema } from "../objects/refresh.ts";
import { findSource, readSourceRow } from "../objects/source.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Models";

const modelParams = idParams.extend({
  mid: idParam.openapi({ type: "integer", format: "int64", minimum: 1, example: 42 }),
});

const nameSchema = z.string({ error: "Give it a name." }).openapi({ maxLength: 200 });

const newModelSchema = z.object({
  name: nameSchema,
  query: queryText,
  description: descriptionSchema,
});
const changesSchema = newModelSchema.partial();

const EXAMPLE = { name: "Open orders", query: "select id, total from orders where closed_at is null" };

const listAll = endpoint(
  {
    method: "get",
    path: "/models",
    summary: "List the models of all sources",
    request: { query: pageQuery },
    responses: { 200: json(listOf(modelSchema), "a page of models") },
  },
  { tag: TAG, scope: "read" },
);

const list = endpoint(
  {
    method: "get",
    path: "/sources/{id}/models",
    summary: "List the models of a source",
    request: { params: idParams, query: pageQuery },
    responses: { 200: json(listOf(modelSchema), "a page of models") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const create = endpoint(
  {
    method: "post",
    path: "/sources/{id}/models",
    summary: "Create a model",
    description:
      "The source has to answer: it says whether the query is one SELECT, and which columns it has.",
    request: { params: idParams, body: jsonBody(newModelSchema, EXAMPLE) },
    responses: { 201: json(envelope("created", z.object({ id: z.int() })), "made") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

const show = endpoint(
  {
    method: "get",
    path: "/sources/{id}/models/{mid}",
    summary: "Show a model",
    request: { params: modelParams },
    responses: { 200: json(envelope("success", modelSchema), "the model") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const change = endpoint(
  {
    method: "patch",
    path: "/sources/{id}/models/{mid}",
    summary: "Change a model",
    description:
      "The source is asked when the query changes. Syncs that read columns which are gone then fail until they are changed too.",
    request: { params: modelParams, body: jsonBody(changesSchema, { description: "not shipped yet" }) },
    responses: { 200: json(envelope("updated", modelSchema), "the model as it is now") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/sources/{id}/models/{mid}",
    summary: "Delete a model",
    description: "One that a sync uses stays (409).",
    request: { params: modelParams },
    responses: { 200: json(wordOnly("deleted"), "deleted") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const refresh = endpoint(
  {
    method: "post",
    path: "/sources/{id}/models/{mid}/refresh_columns",
    summary: "Ask the source for the columns of a model again",
    request: { params: modelParams },
    responses: { 200: json(sourceRefreshSchema, "it has ended; its status tells how") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const refreshStatus = endpoint(
  {
    method: "get",
    path: "/sources/{id}/models/{mid}/refresh_columns_status",
    summary: "Show how a refresh of a model's columns went",
    request: { params: modelParams, query: refreshQuery },
    responses: { 200: json(sourceRefreshStatusSchema, "how it went") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

/** The room. */
export function modelRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db, box } = desk;
  const ofModels = { present: presentModel, idOf: ({ id }: { id: number }) => id };
  const rowAt = (workspaceId: number, { id: sourceId, mid }: { id: number; mid: number }) =>
    readModelRow(db, { workspaceId, sourceId, id: mid });

  room.openapi(listAll, async (context) => {
    const query = context.req.valid("query");
    const found = await readModelPage(db, { workspaceId: context.get("workspaceId") }, cutOf(query));
    return context.json(listAnswer(context, query, found, ofModels), 200);
  });

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const { workspaceId, id: sourceId } = placeOf(context, context.req.valid("param").id);
    await readSourceRow(db, { workspaceId, id: sourceId });
    const found = await readModelPage(db, { workspaceId, sourceId }, cutOf(query));
    return context.json(listAnswer(context, query, found, ofModels), 200);
  });

  room.openapi(create, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const source = await readSourceRow(db, place);
    const actor = actorOf(context.get("caller"));
    const id = await makeModel(desk, { source, actor, ...context.req.valid("json") });
    return context.json(created({ id }), 201);
  });

  room.openapi(show, async (context) => {
    const row = await rowAt(context.get("workspaceId"), context.req.valid("param"));
    setEtag(context, row.version);
    return context.json(success(presentModel(row)), 200);
  });

  room.openapi(change, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { id } = await rowAt(workspaceId, context.req.valid("param"));
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await changeModel(desk, { workspaceId, id, ...by, ...context.req.valid("json") });
    const row = await rowAt(workspaceId, context.req.valid("param"));
    setEtag(context, row.version);
    return context.json(updated(presentModel(row)), 200);
  });

  room.openapi(remove, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { id } = await rowAt(workspaceId, context.req.valid("param"));
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(desk, { workspaceId, id, ...by, kind: "model" });
    return context.json(deleted(), 200);
  });

  room.openapi(refresh, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { id: modelId, name, query, source_id } = await rowAt(workspaceId, context.req.valid("param"));
    const source = await findSource(db, box, { workspaceId, id: source_id });
    const object = { type: "model", modelId, name, query } as const;
    const { key } = await refreshColumns(db, source, { modelId, object });
    return context.json({ refresh_key: key }, 200);
  });

  room.openapi(refreshStatus, async (context) => {
    const row = await rowAt(context.get("workspaceId"), context.req.valid("param"));
    const key = context.req.valid("query").refresh_key ?? null;
    const found = await findRefresh(db, { sourceId: row.source_id, modelId: row.id, key });
    if (found === null) throw notFound();
    const { error } = found;
    return context.json({ status: "completed" as const, succeeded: error === null, message: error }, 200);
  });

  return room;
}
