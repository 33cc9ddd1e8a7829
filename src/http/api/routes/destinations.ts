/** /destinations: the places to send rows to. What they can be sent is in destinationObjects.ts. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { mergeCredentials } from "../../../configuration/mergeCredentials.ts";
import { createObject, deleteObject, type EntryOf, updateObject } from "../../../configuration/objectDesk.ts";
import { NotFound } from "../../../domain/errors.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { configurationDesk } from "../configurationDesk.ts";
import { testNow, testSoon } from "../connectionTests.ts";
import { credentialsOf, DESTINATION_KINDS, fieldsOf, refuseOtherType } from "../destinationCredentials.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { namingFields } from "../fieldNames.ts";
import {
  type DestinationRow,
  destinationSchema,
  presentDestination,
  readDestinationRow,
  selectDestinations,
} from "../objects/destination.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Destinations";

const credentialsSchema = z
  .record(z.string(), z.unknown(), { error: "Must be a map of settings and secrets." })
  .openapi({
    description:
      'settings and secrets by name, as GET /connectors lists them. Numbers and truth values may be texts; "" and null ' +
      "mean none",
  });
const nameSchema = z.string({ error: "Give it a name." }).openapi({ maxLength: 200, example: "Ops hook" });

const newDestinationSchema = z.object({
  // Some clients say the type here as well; the one inside counts.
  type: z.string().nullish(),
  service_connection: z.object(
    {
      type: z
        .string({ error: `Write one of: ${DESTINATION_KINDS.join(", ")}.` })
        .openapi({ enum: [...DESTINATION_KINDS] }),
      name: nameSchema,
      credentials: credentialsSchema.nullish(),
    },
    { error: "Must be a map with type, name and credentials." },
  ),
});

const changesSchema = z.object({
  name: nameSchema.optional(),
  paused: z
    .boolean()
    .optional()
    .openapi({ description: "true: what comes waits, and spends no attempt, until it is false again" }),
  service_connection: z
    .object(
      {
        type: z.string().nullish().openapi({ description: "cannot be changed" }),
        name: nameSchema.nullish(),
        credentials: credentialsSchema.nullish(),
      },
      { error: "Must be a map with name or credentials." },
    )
    .nullish(),
});

// Nothing listens there, so that trying the example out reaches nobody else's machine.
const EXAMPLE = {
  service_connection: {
    type: "webhook",
    name: "Ops hook",
    credentials: { url: "http://127.0.0.1:4999/rows", batch_size: 100, auth_token: "Bearer x" },
  },
};

const list = endpoint(
  {
    method: "get",
    path: "/destinations",
    summary: "List destinations",
    request: { query: pageQuery },
    responses: { 200: json(listOf(destinationSchema), "a page of destinations") },
  },
  { tag: TAG, scope: "read" },
);

const create = endpoint(
  {
    method: "post",
    path: "/destinations",
    summary: "Create a destination",
    description:
      "Its connection is tested; a test that fails is shown by GET and keeps nothing from being made.",
    request: { body: jsonBody(newDestinationSchema, EXAMPLE) },
    responses: { 201: json(envelope("created", z.object({ id: z.int() })), "made") },
  },
  { tag: TAG, scope: "admin" },
);

const show = endpoint(
  {
    method: "get",
    path: "/destinations/{id}",
    summary: "Show a destination",
    request: { params: idParams },
    responses: { 200: json(envelope("success", destinationSchema), "the destination") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const change = endpoint(
  {
    method: "patch",
    path: "/destinations/{id}",
    summary: "Change a destination",
    description:
      'What is left out stays, secrets too. A credential of "" or null is taken away; lists and maps are replaced whole.',
    request: {
      params: idParams,
      body: jsonBody(changesSchema, { service_connection: { credentials: { batch_size: 50 } } }),
    },
    responses: { 200: json(envelope("updated", destinationSchema), "the destination as it is now") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/destinations/{id}",
    summary: "Delete a destination",
    description: "One that a sync uses stays (409).",
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
    http_status: z.int().nullable(),
    last_test_succeeded: z.boolean().nullable(),
    last_tested_at: z.iso.datetime().nullable(),
  })
  .openapi("ConnectionTest");

const test = endpoint(
  {
    method: "post",
    path: "/destinations/{id}/test",
    summary: "Test the connection of a destination",
    description: "One request without rows. This answers 200 whatever the destination did; `success` tells.",
    request: { params: idParams },
    responses: { 200: json(envelope("success", testResultSchema), "how it went") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

/** The room. */
export function destinationRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const { db, box } = desk;
  const objects = configurationDesk(desk);
  const present = (row: DestinationRow) => presentDestination(row, box);

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const found = await readPage(desk, context.get("workspaceId"), cutOf(query));
    return context.json(listAnswer(context, query, found, { present, idOf: ({ id }) => id }), 200);
  });

  room.openapi(create, async (context) => {
    const { type, name, credentials } = context.req.valid("json").service_connection;
    const read = credentialsOf(type, credentials ?? {});
    const entry = { ...read.given, type } as EntryOf["destination"];
    const place = { workspaceId: context.get("workspaceId"), actor: actorOf(context.get("caller")) };
    const { id } = await namingFields(fieldsOf(read), () =>
      createObject(objects, { ...place, kind: "destination", label: name, entry }),
    );
    await testSoon(desk, id);
    return context.json(created({ id }), 201);
  });

  room.openapi(show, async (context) => {
    const row = await readDestinationRow(db, placeOf(context, context.req.valid("param").id));
    setEtag(context, row.version);
    return context.json(success(present(row)), 200);
  });

  room.openapi(change, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const { name: outerName, paused, service_connection: connection } = context.req.valid("json");
    const before = await readDestinationRow(db, place);
    refuseOtherType(before.type, connection?.type);
    const sent = connection?.credentials ?? null;
    const read = sent === null ? null : credentialsOf(before.type, sent);
    const name = connection?.name ?? outerName;
    await namingFields(fieldsOf(read), () =>
      updateObject(objects, {
        ...place,
        actor: actorOf(context.get("caller")),
        kind: "destination",
        expectedVersions: expectedVersions(context),
        ...(read === null ? {} : { edit: (entry: EntryOf["destination"]) => mergeCredentials(entry, read) }),
        ...(name === undefined ? {} : { label: name }),
        ...(paused === undefined ? {} : { pausedByHand: paused }),
      }),
    );
    if (read !== null) await testSoon(desk, place.id);
    const row = await readDestinationRow(db, place);
    setEtag(context, row.version);
    return context.json(updated(present(row)), 200);
  });

  room.openapi(remove, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(objects, { ...place, ...by, kind: "destination" });
    return context.json(deleted(), 200);
  });

  room.openapi(test, async (context) => {
    const place = placeOf(context, context.req.valid("param").id);
    await readDestinationRow(db, place);
    const result = await testNow(desk, place.id);
    if (result === null) throw new NotFound(`there is no destination ${place.id}`);
    const { last_test_succeeded, last_tested_at } = present(await readDestinationRow(db, place));
    const { ok, message, httpStatus } = result;
    const data = { id: place.id, success: ok, message, http_status: httpStatus };
    return context.json(success({ ...data, last_test_succeeded, last_tested_at }), 200);
  });

  return room;
}

async function readPage(
  { db }: ApiDesk,
  workspaceId: number,
  { limit, offset, order, afterId }: ReturnType<typeof cutOf>,
): Promise<{ rows: DestinationRow[]; total: number }> {
  let page = selectDestinations(db, workspaceId).orderBy("destination.id", order).limit(limit).offset(offset);
  if (afterId !== null) page = page.where("destination.id", order === "asc" ? ">" : "<", afterId);
  const counted = db
    .selectFrom("egret.destinations")
    .select(({ fn }) => fn.countAll<number>().as("total"))
    .where("workspace_id", "=", workspaceId);
  const [rows, { total }] = await Promise.all([page.execute(), counted.executeTakeFirstOrThrow()]);
  return { rows, total };
}
