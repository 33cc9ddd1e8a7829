/** /sources: the databases to read from. What they hold is in sourceObjects.ts, models over them in models.ts. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { createObject, deleteObject, type EntryOf, updateObject } from "../../../configuration/objectDesk.ts";
import { invalidObject, withFieldNames } from "../../../configuration/objectProblems.ts";
import { POSTGRES_FIELDS, sourceUrl } from "../../../configuration/sourceCredentials.ts";
import { InvalidInput } from "../../../domain/errors.ts";
import { testSource } from "../../../runtime/sourceRefresh.ts";
import { created, deleted, envelope, instant, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { configurationDesk } from "../configurationDesk.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { namingFields } from "../fieldNames.ts";
import {
  findSource,
  presentSource,
  readSourceRow,
  type SourceRow,
  selectSources,
  sourceSchema,
} from "../objects/source.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Sources";

const credentialsSchema = z
  .record(z.string(), z.unknown(), { error: "Must be a map of settings and secrets." })
  .openapi({
    description: `${POSTGRES_FIELDS.map(({ id }) => id).join(", ")}; or \`url\`, an address postgres://user:password@host:port/database. Numbers may be texts and texts numbers; "" and null mean left out`,
  });
const nameSchema = z.string({ error: "Give it a name." }).openapi({ maxLength: 200, example: "Warehouse" });
const engineSchema = z
  .enum(["basic", "advanced"], { error: "Write one of: basic, advanced." })
  .openapi({ description: "where is kept what was sent: in Egret's Postgres, or in a schema of the source" });
const stateSchemaSchema = z
  .string()
  .openapi({ description: "that schema, for sync_engine advanced; `egret` when left out" });

const common = {
  name: nameSchema.nullish(),
  label: nameSchema.nullish().openapi({ description: "the same as `name`, which comes first" }),
  credentials: credentialsSchema.nullish(),
  sync_engine: engineSchema.nullish(),
  state_schema: stateSchemaSchema.nullish(),
};

const newSourceSchema = z.object({
  connection: z.object(
    {
      type: z.string({ error: 'Write "postgres".' }).openapi({ enum: ["postgres"] }),
      ...common,
    },
    { error: "Must be a map with type, name and credentials." },
  ),
});

const changesSchema = z.object({
  connection: z.object(
    {
      type: z.string().nullish().openapi({ description: "cannot be changed" }),
      ...common,
    },
    { error: "Must be a map with name or credentials." },
  ),
});

const EXAMPLE = {
  connection: {
    type: "postgres",
    name: "Warehouse",
    sync_engine: "basic",
    credentials: { hostname: "127.0.0.1", port: 4999, database: "shop", user: "egret", password: "x" },
  },
};

const list = endpoint(
  {
    method: "get",
    path: "/sources",
    summary: "List sources",
    request: { query: pageQuery },
    responses: { 200: json(listOf(sourceSchema), "a page of sources") },
  },
  { tag: TAG, scope: "read" },
);

const create = endpoint(
  {
    method: "post",
    path: "/sources",
    summary: "Create a source",
    description: "Nothing is connected: test it with POST /sources/{id}/test.",
    request: { body: jsonBody(newSourceSchema, EXAMPLE) },
    responses: { 201: json(envelope("created", z.object({ id: z.int() })), "made") },
  },
  { tag: TAG, scope: "admin" },
);

const show = endpoint(
  {
    method: "get",
    path: "/sources/{id}",
    summary: "Show a source",
    request: { params: idParams },
    responses: { 200: json(envelope("success", sourceSchema), "the source") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const change = endpoint(
  {
    method: "patch",
    path: "/sources/{id}",
    summary: "Change a source",
    description:
      "What is left out stays, of the credentials too; a stored password stays only for the address that it was stored for.",
    request: {
      params: idParams,
      body: jsonBody(changesSchema, { connection: { credentials: { password: "another" } } }),
    },
    responses: { 200: json(envelope("updated", sourceSchema), "the source as it is now") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/sources/{id}",
    summary: "Delete a source",
    description: "One that a model or sync uses stays (409).",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "deleted") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const testResultSchema = z
  .object({
    id: z.int(),
    success: z.boolean(),
    message: z.string(),
    last_test_succeeded: z.boolean(),
    last_tested_at: z.iso.datetime(),
  })
  .openapi("SourceTest");

const test = endpoint(
  {
    method: "post",
    path: "/sources/{id}/test",
    summary: "Test the connection of a source",
    description: "This answers 200 whatever the source did, within about 15 s; `success` tells.",
    request: { params: idParams },
    responses: { 200: json(envelope("success", testResultSchema), "how it went") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

/** The room. */
export function sourceRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db, box } = desk;
  const objects = configurationDesk(desk);
  const present = (row: SourceRow) => presentSource(row, box);

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const found = await readPage(desk, context.get("workspaceId"), cutOf(query));
    return context.json(listAnswer(context, query, found, { present, idOf: ({ id }) => id }), 200);
  });

  room.openapi(create, async (context) => {
    const { connection } = context.req.valid("json");
    const { type, credentials } = connection;
    const label = connection.name ?? connection.label ?? null;
    if (type !== "postgres")
      throw invalidObject([{ field: "connection.type", message: 'Write "postgres".' }]);
    if (label === null) throw invalidObject([{ field: "connection.name", message: "Give it a name." }]);
    const place = { workspaceId: context.get("workspaceId"), actor: actorOf(context.get("caller")) };
    const { id } = await namingFields(nameOf, () => {
      const url = namingCredentials(() => sourceUrl(credentials ?? {}, null));
      const entry = { type, url, ...engineOf(connection) } as EntryOf["source"];
      return createObject(objects, { ...place, kind: "source", label, entry });
    });
    return context.json(created({ id }), 201);
  });

  room.openapi(show, async (context) => {
    const row = await readSourceRow(db, placeOf(context, context.req.valid("param").id));
    setEtag(context, row.version);
    return context.json(success(present(row)), 200);
  });

  room.openapi(change, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { connection } = context.req.valid("json");
    const label = connection.name ?? connection.label ?? null;
    const wanted = {
      ...place,
      actor: actorOf(context.get("caller")),
      kind: "source",
      expectedVersions: expectedVersions(context),
      edit: (entry: EntryOf["source"]) => edited(entry, connection),
      ...(label === null ? {} : { label }),
    } as const;
    const { type } = await readSourceRow(db, place);
    if ((connection.type ?? type) !== type)
      throw invalidObject([{ field: "connection.type", message: "The type of a source cannot be changed." }]);
    await namingFields(nameOf, () => updateObject(objects, wanted));
    const row = await readSourceRow(db, place);
    setEtag(context, row.version);
    return context.json(updated(present(row)), 200);
  });

  room.openapi(remove, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(objects, { ...place, ...by, kind: "source" });
    return context.json(deleted(), 200);
  });

  room.openapi(test, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { ok, message, testedAt } = await testSource(db, await findSource(db, box, place), desk.now());
    const outcome = { last_test_succeeded: ok, last_tested_at: instant(testedAt) };
    return context.json(success({ id: place.id, success: ok, message, ...outcome }), 200);
  });

  return room;
}

type Connection = z.infer<typeof changesSchema>["connection"];

/** Faults in credentials are told as of `credentials.x`. */
function namingCredentials<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof InvalidInput ? withFieldNames(error, (field) => `credentials.${field}`) : error;
  }
}

/** Everything of a source is in `connection`. */
function nameOf(field: string): string {
  if (field === "label") return "connection.name";
  return field === "url" ? "connection.credentials" : `connection.${field}`;
}

/** Left out, a new source has the basic engine, and one that stands the one it has. */
function engineOf({ sync_engine, state_schema }: Connection): Partial<EntryOf["source"]> {
  return {
    ...((sync_engine ?? null) === null ? {} : { sync_engine }),
    ...((state_schema ?? "") === "" ? {} : { state_schema }),
  } as Partial<EntryOf["source"]>;
}

function edited(entry: EntryOf["source"], connection: Connection): EntryOf["source"] {
  const url = namingCredentials(() => sourceUrl(connection.credentials ?? {}, entry.url));
  const { state_schema: stood, ...rest } = entry;
  const engine = { sync_engine: entry.sync_engine, ...engineOf(connection) };
  const schema = engine.sync_engine === "basic" || stood === undefined ? {} : { state_schema: stood };
  return { ...rest, url, ...schema, ...engine };
}

async function readPage(
  { db }: ApiDesk,
  workspaceId: number,
  { limit, offset, order, afterId }: ReturnType<typeof cutOf>,
): Promise<{ rows: SourceRow[]; total: number }> {
  let page = selectSources(db, workspaceId).orderBy("id", order).limit(limit).offset(offset);
  if (afterId !== null) page = page.where("id", order === "asc" ? ">" : "<", afterId);
  const counted = db
    .selectFrom("egret.sources")
    .select(({ fn }) => fn.countAll<number>().as("total"))
    .where("workspace_id", "=", workspaceId);
  const [rows, { total }] = await Promise.all([page.execute(), counted.executeTakeFirstOrThrow()]);
  return { rows, total };
}
