/** /datasets: the models of all sources under the name and in the shape that newer clients have for them. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { deleteObject } from "../../../configuration/objectDesk.ts";
import { invalidObject } from "../../../configuration/objectProblems.ts";
import { NotFound } from "../../../domain/errors.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { endpoint, idInBody, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { changeModel, descriptionSchema, makeModel, queryText, readModelPage } from "../modelWrites.ts";
import { datasetSchema, presentDataset, readModelRow } from "../objects/model.ts";
import { readSourceRow } from "../objects/source.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Datasets";

const nameSchema = z.string({ error: "Give it a name." }).openapi({ maxLength: 200 });
const typeSchema = z.literal("sql", { error: 'Write "sql": there are no other datasets.' });

const newDatasetSchema = z.object({
  name: nameSchema,
  type: typeSchema.default("sql"),
  query: queryText,
  source_id: idInBody,
  description: descriptionSchema,
});
const changesSchema = z.object({
  name: nameSchema.optional(),
  type: typeSchema.optional(),
  query: queryText.optional(),
  source_id: idInBody.optional().openapi({ description: "cannot be changed" }),
  description: descriptionSchema,
});

const EXAMPLE = {
  name: "Open orders",
  type: "sql",
  query: "select id, total from orders where closed_at is null",
  source_id: 42,
  description: null,
};

const list = endpoint(
  {
    method: "get",
    path: "/datasets",
    summary: "List datasets",
    request: {
      query: pageQuery.extend({
        type: z.string().optional().openapi({ description: "`sql` shows all; there are no others" }),
      }),
    },
    responses: { 200: json(listOf(datasetSchema), "a page of datasets") },
  },
  { tag: TAG, scope: "read" },
);

const create = endpoint(
  {
    method: "post",
    path: "/datasets",
    summary: "Create a dataset",
    description:
      "The source has to answer: it says whether the query is one SELECT, and which columns it has.",
    request: { body: jsonBody(newDatasetSchema, EXAMPLE) },
    responses: { 201: json(envelope("created", z.object({ id: z.int() })), "made") },
  },
  { tag: TAG, scope: "admin" },
);

const show = endpoint(
  {
    method: "get",
    path: "/datasets/{id}",
    summary: "Show a dataset",
    request: { params: idParams },
    responses: { 200: json(envelope("success", datasetSchema), "the dataset") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const change = endpoint(
  {
    method: "patch",
    path: "/datasets/{id}",
    summary: "Change a dataset",
    description:
      "The source is asked when the query changes. Syncs that read columns which are gone then fail until they are changed too.",
    request: { params: idParams, body: jsonBody(changesSchema, { name: "Orders to ship" }) },
    responses: { 200: json(envelope("updated", datasetSchema), "the dataset as it is now") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/datasets/{id}",
    summary: "Delete a dataset",
    description: "One that a sync uses stays (409).",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "deleted") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

/** The room. */
export function datasetRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db } = desk;

  room.openapi(list, async (context) => {
    const { type = "sql", ...query } = context.req.valid("query");
    const none = { rows: [], total: 0 };
    const found =
      type === "sql"
        ? await readModelPage(db, { workspaceId: context.get("workspaceId") }, cutOf(query))
        : none;
    return context.json(
      listAnswer(context, query, found, { present: presentDataset, idOf: ({ id }) => id }),
      200,
    );
  });

  room.openapi(create, async (context) => {
    const { source_id: id, type: _, ...model } = context.req.valid("json");
    const source = await readSourceRow(db, placeOf(context, id)).catch((error: unknown) => {
      if (!(error instanceof NotFound)) throw error;
      throw invalidObject([{ field: "source_id", message: `There is no source ${id}.` }]);
    });
    const made = await makeModel(desk, { source, actor: actorOf(context.get("caller")), ...model });
    return context.json(created({ id: made }), 201);
  });

  room.openapi(show, async (context) => {
    const row = await readModelRow(db, placeOf(context, context.req.valid("param").id));
    setEtag(context, row.version);
    return context.json(success(presentDataset(row)), 200);
  });

  room.openapi(change, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { source_id: sourceId, type: _, ...changes } = context.req.valid("json");
    const before = await readModelRow(db, place);
    if (sourceId !== undefined && sourceId !== before.source_id) {
      const message = "A dataset stays with its source; make another over the other source.";
      throw invalidObject([{ field: "source_id", message }]);
    }
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await changeModel(desk, { ...place, ...by, ...changes });
    const row = await readModelRow(db, place);
    setEtag(context, row.version);
    return context.json(updated(presentDataset(row)), 200);
  });

  room.openapi(remove, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(desk, { ...place, ...by, kind: "model" });
    return context.json(deleted(), 200);
  });

  return room;
}
