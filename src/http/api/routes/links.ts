/** Links to pages on which a person without an account enters credentials or edits a sync. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import {
  createLink,
  deleteLink,
  LINK_LIFETIME_S,
  MAX_LINK_LIFETIME_S,
  type NewLink,
  pageOfLinks,
  revokeLink,
} from "../../../configuration/links.ts";
import type { LinkPurpose } from "../../../projections/linkTable.ts";
import { created, deleted, envelope, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf, type Caller } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParam, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { linkSchema, presentLink } from "../objects/link.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "Links";
const DESTINATION_TYPES = ["webhook", "http_request"] as const;
const SOURCE_TYPES = ["postgres"] as const;

/** What every kind of link can be given. */
const bodyShape = {
  redirect_uri: z
    .string()
    .max(2_000, { error: "At most 2000 characters." })
    .refine(isRedirect, {
      error:
        "Write an http:// or https:// address without user and password, such as https://app.example.org/done.",
    })
    .nullish()
    .openapi({
      type: "string",
      description:
        "where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any",
    }),
  expires_in: z
    .int({ error: "Give whole seconds." })
    .min(60, { error: "At least 60 seconds." })
    .max(MAX_LINK_LIFETIME_S, { error: `At most ${MAX_LINK_LIFETIME_S} seconds.` })
    .default(LINK_LIFETIME_S)
    .openapi({ description: "seconds" }),
};
const body = z.object(bodyShape);
const example = { redirect_uri: "https://app.example.org/settings" };

/** Characters that names and addresses have: others would be words of the page's policy, which names the origin. */
const HOST = /^[a-z0-9.\-_[\]:]+$/;

function isRedirect(text: string): boolean {
  const url = URL.parse(text);
  const isWeb = url?.protocol === "http:" || url?.protocol === "https:";
  return isWeb && HOST.test(url.host) && url.username === "" && url.password === "";
}

/** The kinds of links that have a list, with the purposes that are theirs. */
const KINDS = {
  source_connect_links: ["source_connect", "source_credentials"],
  destination_connect_links: ["destination_connect", "destination_credentials"],
  sync_management_links: ["sync_management", "sync_edit"],
  segment_management_links: ["segment_management"],
} as const satisfies Record<string, readonly LinkPurpose[]>;
type Kind = keyof typeof KINDS;

const withLink = (word: "created" | "updated") => json(envelope(word, linkSchema), "the link");

/** Making a new object of a type. */
function connectRoute(
  kind: "source_connect_links" | "destination_connect_links",
  types: readonly [string, ...string[]],
) {
  const what = kind === "source_connect_links" ? "source" : "destination";
  const type = z.enum(types, { error: `Give one of ${types.join(", ")}.` });
  return endpoint(
    {
      method: "post",
      path: `/${kind}`,
      summary: `Create a link to a page on which a person makes a ${what}`,
      request: { body: jsonBody(z.object({ type, ...bodyShape }), { type: types[0], ...example }) },
      responses: { 201: withLink("created") },
    },
    { tag: TAG, scope: "admin" },
  );
}

/** A page for no object that there is. */
function freePage<P extends string>(path: P, summary: string) {
  const request = { body: jsonBody(body, example, false) };
  const responses = { 201: withLink("created") };
  return endpoint({ method: "post", path, summary, request, responses }, { tag: TAG, scope: "admin" });
}

/** A page for one object. */
function pageOf<P extends string>(path: P, summary: string) {
  const request = { params: idParams, body: jsonBody(body, example, false) };
  const responses = { 201: withLink("created") };
  return endpoint(
    { method: "post", path, summary, request, responses },
    { tag: TAG, scope: "admin", refusals: [404] },
  );
}

const sourceConnect = connectRoute("source_connect_links", SOURCE_TYPES);
const destinationConnect = connectRoute("destination_connect_links", DESTINATION_TYPES);
const sourceCredentials = pageOf(
  "/sources/{id}/connect_links",
  "Create a link to a page on which a person enters a source's credentials again",
);
const destinationCredentials = pageOf(
  "/destinations/{id}/connect_links",
  "Create a link to a page on which a person enters a destination's credentials again",
);
const syncManagement = freePage(
  "/sync_management_links",
  "Create a link to a page on which a person makes a sync",
);
const syncEdit = pageOf(
  "/syncs/{id}/connect_links",
  "Create a link to a page on which a person edits a sync",
);
const segmentManagement = freePage(
  "/segment_management_links",
  "Create a link to a page that says that there are no segments",
);
const segmentEdit = endpoint(
  {
    method: "post",
    path: "/sources/{id}/filter_segments/{segment_id}/segment_management_links",
    summary: "Not found: there are no segments",
    request: {
      params: idParams.extend({ segment_id: idParam.openapi({ type: "integer", minimum: 1, example: 1 }) }),
      body: jsonBody(body, example, false),
    },
    responses: { 201: withLink("created") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

/** The routes. */
export function linkRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const api = rooms();
  makers(api, desk);
  for (const kind of Object.keys(KINDS) as Kind[]) keepers(api, desk, kind);
  return api;
}

type Wish = { redirect_uri?: string | null | undefined; expires_in: number };

function makers(api: OpenAPIHono<ApiEnv>, desk: ApiDesk): void {
  const { db, box } = desk;
  const make = async (
    context: { get(name: "workspaceId"): number; get(name: "caller"): Caller },
    wish: Wish,
    link: Pick<NewLink, "purpose" | "type" | "sourceId" | "destinationId" | "syncId">,
  ) => {
    const given = {
      workspaceId: context.get("workspaceId"),
      redirectUri: wish.redirect_uri ?? null,
      lifetimeS: wish.expires_in,
      actor: actorOf(context.get("caller")),
    };
    return created(presentLink(desk, await createLink(db, box, { ...link, ...given })));
  };
  /** @throws ApiRefusal 404 for one of another workspace too. */
  const typeOf = async (table: "egret.sources" | "egret.destinations", workspaceId: number, id: number) => {
    const row = await db
      .selectFrom(table)
      .select("type")
      .where("workspace_id", "=", workspaceId)
      .where("id", "=", id)
      .executeTakeFirst();
    if (row === undefined) throw notFound();
    return row.type;
  };
  api.openapi(sourceConnect, async (context) => {
    const wish = context.req.valid("json");
    return context.json(await make(context, wish, { purpose: "source_connect", type: wish.type }), 201);
  });
  api.openapi(destinationConnect, async (context) => {
    const wish = context.req.valid("json");
    return context.json(await make(context, wish, { purpose: "destination_connect", type: wish.type }), 201);
  });
  api.openapi(sourceCredentials, async (context) => {
    const { id: sourceId } = context.req.valid("param");
    const type = await typeOf("egret.sources", context.get("workspaceId"), sourceId);
    const link = { purpose: "source_credentials", type, sourceId } as const;
    return context.json(await make(context, wishOf(context.req.valid("json")), link), 201);
  });
  api.openapi(destinationCredentials, async (context) => {
    const { id: destinationId } = context.req.valid("param");
    const type = await typeOf("egret.destinations", context.get("workspaceId"), destinationId);
    const link = { purpose: "destination_credentials", type, destinationId } as const;
    return context.json(await make(context, wishOf(context.req.valid("json")), link), 201);
  });
  api.openapi(syncManagement, async (context) => {
    const link = { purpose: "sync_management", type: null } as const;
    return context.json(await make(context, wishOf(context.req.valid("json")), link), 201);
  });
  api.openapi(syncEdit, async (context) => {
    const { id: syncId } = context.req.valid("param");
    const sync = await db
      .selectFrom("egret.syncs")
      .select("id")
      .where("workspace_id", "=", context.get("workspaceId"))
      .where("id", "=", syncId)
      .executeTakeFirst();
    if (sync === undefined) throw notFound();
    const link = { purpose: "sync_edit", type: null, syncId } as const;
    return context.json(await make(context, wishOf(context.req.valid("json")), link), 201);
  });
  api.openapi(segmentManagement, async (context) => {
    const link = { purpose: "segment_management", type: null } as const;
    return context.json(await make(context, wishOf(context.req.valid("json")), link), 201);
  });
  // Every list of segments is empty, so no id is one's.
  api.openapi(segmentEdit, () => {
    throw notFound();
  });
}

/** Without a body nothing was read, and no default filled in. */
function wishOf(read: Partial<Wish>): Wish {
  return { redirect_uri: read.redirect_uri, expires_in: read.expires_in ?? LINK_LIFETIME_S };
}

/** List, revoke and delete of one kind. */
function keepers(api: OpenAPIHono<ApiEnv>, desk: ApiDesk, kind: Kind): void {
  const { db, box } = desk;
  const purposes = KINDS[kind];
  const name = kind.replaceAll("_", " ");
  const admin = { tag: TAG, scope: "admin" } as const;
  const list = endpoint(
    {
      method: "get",
      path: `/${kind}`,
      summary: `List ${name}`,
      description: "Those that still work come with their address: that is why the scope is admin.",
      request: { query: pageQuery },
      responses: { 200: json(listOf(linkSchema), "a page of links") },
    },
    admin,
  );
  const revoke = endpoint(
    {
      method: "post",
      path: `/${kind}/{id}/revoke`,
      summary: `Revoke one of the ${name}`,
      request: { params: idParams },
      responses: { 201: withLink("updated") },
    },
    { ...admin, refusals: [404] },
  );
  const remove = endpoint(
    {
      method: "delete",
      path: `/${kind}/{id}`,
      summary: `Delete one of the ${name}`,
      request: { params: idParams },
      responses: { 200: json(wordOnly("deleted"), "deleted") },
    },
    { ...admin, refusals: [404] },
  );
  api.openapi(list, async (context) => {
    const query = context.req.valid("query");
    const workspaceId = context.get("workspaceId");
    const page = await pageOfLinks(db, box, { workspaceId, purposes, ...cutOf(query) });
    const present = (link: (typeof page.rows)[number]) => presentLink(desk, link);
    return context.json(listAnswer(context, query, page, { present, idOf: ({ id }) => id }), 200);
  });
  api.openapi(revoke, async (context) => {
    const { id } = context.req.valid("param");
    const link = await revokeLink(db, { workspaceId: context.get("workspaceId"), id, purposes });
    if (link === null) throw notFound();
    return context.json(updated(presentLink(desk, { ...link, token: null })), 201);
  });
  api.openapi(remove, async (context) => {
    const { id } = context.req.valid("param");
    if (!(await deleteLink(db, { workspaceId: context.get("workspaceId"), id, purposes }))) throw notFound();
    return context.json(deleted(), 200);
  });
}
