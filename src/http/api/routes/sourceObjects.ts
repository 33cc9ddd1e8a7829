/** What syncs can read of a source: its tables and views, as they were when they were last refreshed, and its models. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { findRefresh } from "../../../configuration/sourceObjects.ts";
import { refreshColumns, refreshTables } from "../../../runtime/sourceRefresh.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParam, idParams, json, rooms } from "../endpoint.ts";
import { refreshQuery, sourceRefreshSchema, sourceRefreshStatusSchema } from "../objects/refresh.ts";
import { databaseOf, findSource, readSourceRow } from "../objects/source.ts";
import {
  presentObject,
  presentTable,
  readObjectPage,
  readTableRow,
  sourceObjectSchema,
  tableSchema,
} from "../objects/sourceObject.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Tables";

const tableParams = idParams.extend({
  tid: idParam.openapi({ type: "integer", format: "int64", minimum: 1, example: 42 }),
});

const list = endpoint(
  {
    method: "get",
    path: "/sources/{id}/objects",
    summary: "List the tables, views and models of a source",
    description:
      "Tables and views as of the last refresh; the first time somebody asks, the source itself is asked once. Their ids last.",
    request: { params: idParams, query: pageQuery },
    responses: { 200: json(listOf(sourceObjectSchema), "a page of them") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const refresh = endpoint(
  {
    method: "post",
    path: "/sources/{id}/refresh_tables",
    summary: "Ask a source for its tables again",
    description: "Ends within this request, about 15 s at the most; also with a source that does not answer.",
    request: { params: idParams },
    responses: { 200: json(sourceRefreshSchema, "it has ended; its status tells how") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const refreshStatus = endpoint(
  {
    method: "get",
    path: "/sources/{id}/refresh_tables_status",
    summary: "Show how a refresh of a source's tables went",
    request: { params: idParams, query: refreshQuery },
    responses: { 200: json(sourceRefreshStatusSchema, "how it went") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const showTable = endpoint(
  {
    method: "get",
    path: "/sources/{id}/tables/{tid}",
    summary: "Show a table of a source",
    request: { params: tableParams },
    responses: { 200: json(envelope("success", tableSchema), "the table") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const refreshTable = endpoint(
  {
    method: "post",
    path: "/sources/{id}/tables/{tid}/refresh_columns",
    summary: "Ask a source for the columns of a table again",
    request: { params: tableParams },
    responses: { 200: json(sourceRefreshSchema, "it has ended; its status tells how") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const refreshTableStatus = endpoint(
  {
    method: "get",
    path: "/sources/{id}/tables/{tid}/refresh_columns_status",
    summary: "Show how a refresh of a table's columns went",
    request: { params: tableParams, query: refreshQuery },
    responses: { 200: json(sourceRefreshStatusSchema, "how it went") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

/** The room. */
export function sourceObjectRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db, box } = desk;

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const place = placeOf(context, context.req.valid("param").id);
    const source = await findSource(db, box, place);
    const of = { workspaceId: place.workspaceId, sourceId: place.id };
    if ((await findRefresh(db, { sourceId: place.id, key: null })) === null) await refreshTables(db, source);
    const found = await readObjectPage(db, of, cutOf(query));
    const database = databaseOf(source);
    const shown = {
      present: (row: Parameters<typeof presentObject>[0]) => presentObject(row, database),
      idOf: ({ place: at }: { place: number }) => at,
    };
    return context.json(listAnswer(context, query, found, shown), 200);
  });

  room.openapi(refresh, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { key } = await refreshTables(db, await findSource(db, box, place));
    return context.json({ refresh_key: key }, 200);
  });

  room.openapi(refreshStatus, async (context) => {
    const { id } = await readSourceRow(db, placeOf(context, context.req.valid("param").id));
    const key = context.req.valid("query").refresh_key ?? null;
    return context.json(statusOf(await findRefresh(db, { sourceId: id, key })), 200);
  });

  room.openapi(showTable, async (context) => {
    const { id: sourceId, tid: id } = context.req.valid("param");
    const { workspaceId } = placeOf(context, sourceId);
    const source = await findSource(db, box, { workspaceId, id: sourceId });
    const row = await readTableRow(db, { workspaceId, sourceId, id });
    return context.json(success(presentTable(row, databaseOf(source))), 200);
  });

  room.openapi(refreshTable, async (context) => {
    const { id: sourceId, tid: tableId } = context.req.valid("param");
    const { workspaceId } = placeOf(context, sourceId);
    const source = await findSource(db, box, { workspaceId, id: sourceId });
    const table = await readTableRow(db, { workspaceId, sourceId, id: tableId });
    const object = { type: "table", schema: table.table_schema, table: table.table_name } as const;
    const { key } = await refreshColumns(db, source, { tableId, object });
    return context.json({ refresh_key: key }, 200);
  });

  room.openapi(refreshTableStatus, async (context) => {
    const { id: sourceId, tid: tableId } = context.req.valid("param");
    const { workspaceId } = placeOf(context, sourceId);
    await readTableRow(db, { workspaceId, sourceId, id: tableId });
    const key = context.req.valid("query").refresh_key ?? null;
    return context.json(statusOf(await findRefresh(db, { sourceId, tableId, key })), 200);
  });

  return room;
}

/** @throws ApiRefusal (404) when nothing was refreshed under that key. */
function statusOf(found: { error: string | null } | null) {
  if (found === null) throw notFound();
  return { status: "completed" as const, succeeded: found.error === null, message: found.error };
}
