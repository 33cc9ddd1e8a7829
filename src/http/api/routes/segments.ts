/** Segments and entities: Egret has none, so that lists are empty and no id exists; clients ask for them all the same. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { NotFound } from "../../../domain/errors.ts";
import { envelope, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParam, idParams, json, rooms } from "../endpoint.ts";
import { listOf, pageQuery } from "../paging.ts";
import { shortList } from "../shortList.ts";
import { type Place, placeOf } from "./webhooks.ts";

const TAG = "Segments";

const segmentSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    source_id: z.int(),
    dataset_id: z.int(),
    record_count: z.int().nullable(),
  })
  .openapi("Segment");

const list = endpoint(
  {
    method: "get",
    path: "/sources/{id}/filter_segments",
    summary: "List the segments of a source",
    description: "Always empty: Egret has no segments.",
    request: { params: idParams, query: pageQuery },
    responses: {
      200: json(
        listOf(segmentSchema).extend({ allowances: z.record(z.string(), z.unknown()) }),
        "an empty list",
      ),
    },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/sources/{id}/filter_segments/{segment_id}",
    summary: "Delete a segment",
    description: "Always 404: Egret has no segments.",
    request: {
      params: idParams.extend({
        segment_id: idParam.openapi({ type: "integer", format: "int64", minimum: 1, example: 7 }),
      }),
    },
    responses: { 200: json(wordOnly("deleted"), "never") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

/** Source: api-clients.md 1.11. */
const entities = endpoint(
  {
    method: "get",
    path: "/entities",
    summary: "List entities",
    description: "Always empty: Egret has no entities. Rows as they were sent: GET /sync_runs/{id}/records.",
    request: { query: pageQuery },
    responses: { 200: json(listOf(z.object({ id: z.int(), name: z.string() })), "an empty list") },
  },
  { tag: TAG, scope: "read" },
);

const entityRecord = endpoint(
  {
    method: "get",
    path: "/entities/{id}/record",
    summary: "Show a record of an entity",
    description: "Always 404: Egret has no entities.",
    request: { params: idParams, query: z.object({ record_id: z.string().optional() }) },
    responses: { 200: json(envelope("success", z.record(z.string(), z.unknown())), "never") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

/** The room. */
export function segmentRoutes({ db }: Pick<ApiDesk, "db">): OpenAPIHono<ApiEnv> {
  const room = rooms();
  room.openapi(list, async (context) => {
    await assertSource(db, placeOf(context, context.req.valid("param").id));
    const none: z.infer<typeof segmentSchema>[] = [];
    const answer = shortList(context, context.req.valid("query"), none, (segment) => segment);
    return context.json({ ...answer, allowances: {} }, 200);
  });
  room.openapi(remove, () => {
    throw notFound();
  });
  room.openapi(entities, (context) => {
    const none: { id: number; name: string }[] = [];
    return context.json(
      shortList(context, context.req.valid("query"), none, (entity) => entity),
      200,
    );
  });
  room.openapi(entityRecord, () => {
    throw notFound();
  });
  return room;
}

/** @throws NotFound when the workspace has no such source. */
async function assertSource(db: ApiDesk["db"], { workspaceId, id }: Place): Promise<void> {
  const row = await db
    .selectFrom("egret.sources")
    .select("id")
    .where("id", "=", id)
    .where("workspace_id", "=", workspaceId)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no source ${id}`);
}
