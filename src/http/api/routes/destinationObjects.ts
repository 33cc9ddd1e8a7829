/** What destinations can be sent. It never changes, so that a refresh has ended as soon as it is asked for. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { readDestinationRow } from "../objects/destination.ts";
import { type DestinationObject, destinationObjectSchema, objectsOf } from "../objects/destinationObject.ts";
import { listOf, pageQuery } from "../paging.ts";
import { shortList } from "../shortList.ts";
import { placeOf } from "./webhooks.ts";

const TAG = "Destinations";

const objectParams = idParams.extend({
  full_name: z.string().openapi({ example: "webhook" }),
});

const list = endpoint(
  {
    method: "get",
    path: "/destinations/{id}/objects",
    summary: "List what a destination can be sent",
    description: "One object, which takes any field beside its key `unique_id`.",
    request: { params: idParams, query: pageQuery },
    responses: { 200: json(listOf(destinationObjectSchema), "its objects") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const show = endpoint(
  {
    method: "get",
    path: "/destinations/{id}/objects/{full_name}",
    summary: "Show one object of a destination",
    request: { params: objectParams },
    responses: { 200: json(envelope("success", destinationObjectSchema), "the object with its fields") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

/** Flat, as clients of these routes have it. */
const refreshKeySchema = z.object({ refresh_key: z.int() }).openapi("RefreshKey");
const refreshStatusSchema = z
  .object({ status: z.enum(["processing", "completed"]) })
  .openapi("RefreshStatus");
const statusQuery = z.object({
  refresh_key: z.string().optional().openapi({ description: "of the refresh; any is taken" }),
});

function refreshRoutes<P extends typeof idParams>(path: string, params: P, what: string) {
  return {
    begin: endpoint(
      {
        method: "post",
        path,
        summary: `Refresh the ${what}`,
        request: { params },
        responses: { 200: json(refreshKeySchema, "it has ended already") },
      },
      { tag: TAG, scope: "operate", refusals: [404] },
    ),
    status: endpoint(
      {
        method: "get",
        path: `${path}_status`,
        summary: `Show how far a refresh of the ${what} is`,
        request: { params, query: statusQuery },
        responses: { 200: json(refreshStatusSchema, "completed") },
      },
      { tag: TAG, scope: "read", refusals: [404] },
    ),
  };
}

const objects = refreshRoutes("/destinations/{id}/refresh_objects", idParams, "objects of a destination");
const fields = refreshRoutes(
  "/destinations/{id}/objects/{full_name}/refresh_fields",
  objectParams,
  "fields of an object",
);

/** The room. */
export function destinationObjectRoutes({ db, now }: ApiDesk): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const objectsAt = async (place: ReturnType<typeof placeOf>) =>
    objectsOf((await readDestinationRow(db, place)).type);
  const refreshKey = () => ({ refresh_key: Math.floor(now().getTime() / 1_000) });

  room.openapi(list, async (context) => {
    const all = await objectsAt(placeOf(context, context.req.valid("param").id));
    return context.json(
      shortList(context, context.req.valid("query"), all, (object) => object),
      200,
    );
  });
  room.openapi(show, async (context) => {
    const { id, full_name: fullName } = context.req.valid("param");
    const object = named(await objectsAt(placeOf(context, id)), fullName);
    return context.json(success(object), 200);
  });
  room.openapi(objects.begin, async (context) => {
    await objectsAt(placeOf(context, context.req.valid("param").id));
    return context.json(refreshKey(), 200);
  });
  room.openapi(objects.status, async (context) => {
    await objectsAt(placeOf(context, context.req.valid("param").id));
    return context.json({ status: "completed" as const }, 200);
  });
  room.openapi(fields.begin, async (context) => {
    const { id, full_name: fullName } = context.req.valid("param");
    named(await objectsAt(placeOf(context, id)), fullName);
    return context.json(refreshKey(), 200);
  });
  room.openapi(fields.status, async (context) => {
    const { id, full_name: fullName } = context.req.valid("param");
    named(await objectsAt(placeOf(context, id)), fullName);
    return context.json({ status: "completed" as const }, 200);
  });
  return room;
}

/** @throws ApiRefusal (404) when there is none of that name. */
function named(objects: readonly DestinationObject[], fullName: string): DestinationObject {
  const object = objects.find(({ full_name }) => full_name === fullName);
  if (object === undefined) throw notFound();
  return object;
}
