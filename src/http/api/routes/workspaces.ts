/** Routes of workspaces: one's own with a workspace key, all of them with a personal token (behaviour.md 10.3). */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { readableWorkspaceKey } from "../../../configuration/apiTokens.ts";
import {
  createWorkspace,
  deleteWorkspace,
  listWorkspaces,
  readWorkspace,
  updateWorkspace,
  type Workspace,
} from "../../../configuration/workspaces.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { presentWorkspace, workspaceSchema } from "../objects/workspace.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "Workspaces";
const MAX_EMAILS = 100;
const MAX_EMAIL_CHARS = 254;

/** Answered with the key when it is asked for: absent, never null. */
const madeSchema = workspaceSchema
  .extend({ api_key: z.string().optional().openapi({ description: "only with `return_workspace_api_key`" }) })
  .openapi("WorkspaceMade");

const fields = z.object({
  name: z.string().openapi({ example: "Marketing" }),
  notification_emails: z
    .array(
      z
        .string()
        .max(MAX_EMAIL_CHARS)
        .regex(/^\S+@\S+$/, { error: "Give addresses such as ops@example.com." }),
    )
    .max(MAX_EMAILS)
    .optional(),
});

const ownRoute = endpoint(
  {
    method: "get",
    path: "/workspace",
    summary: "The workspace of this key",
    responses: { 200: json(envelope("success", workspaceSchema), "the workspace") },
  },
  { tag: TAG, scope: "read" },
);

const listRoute = endpoint(
  {
    method: "get",
    path: "/workspaces",
    summary: "List workspaces",
    request: { query: pageQuery },
    responses: { 200: json(listOf(workspaceSchema), "a page of workspaces") },
  },
  { tag: TAG, scope: "read", token: "personal" },
);

const createRoute = endpoint(
  {
    method: "post",
    path: "/workspaces",
    summary: "Create a workspace",
    request: {
      body: jsonBody(fields.extend({ return_workspace_api_key: z.boolean().optional() }), {
        name: "Marketing",
        notification_emails: ["ops@example.com"],
        return_workspace_api_key: true,
      }),
    },
    responses: { 201: json(envelope("created", madeSchema), "the workspace, with its key when asked for") },
  },
  { tag: TAG, scope: "admin", token: "personal" },
);

const getRoute = endpoint(
  {
    method: "get",
    path: "/workspaces/{id}",
    summary: "Get a workspace",
    request: { params: idParams },
    responses: { 200: json(envelope("success", workspaceSchema), "the workspace") },
  },
  { tag: TAG, scope: "read", token: "personal", refusals: [404] },
);

const updateRoute = endpoint(
  {
    method: "patch",
    path: "/workspaces/{id}",
    summary: "Change a workspace",
    description: "What is left out stays. The short name by which egret.yaml goes does not change.",
    request: { params: idParams, body: jsonBody(fields.partial(), { name: "Marketing EU" }, false) },
    responses: { 200: json(envelope("updated", workspaceSchema), "the workspace as it now is") },
  },
  { tag: TAG, scope: "admin", token: "personal", refusals: [404, 412] },
);

const deleteRoute = endpoint(
  {
    method: "delete",
    path: "/workspaces/{id}",
    summary: "Delete an empty workspace, with its keys",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "it is gone") },
  },
  { tag: TAG, scope: "admin", token: "personal", refusals: [404, 409, 412] },
);

const keyRoute = endpoint(
  {
    method: "get",
    path: "/workspaces/{id}/api_key",
    summary: "Read a workspace's key",
    description:
      "The one key of a workspace that can be read back, made when it is first asked for; it may do everything in it. " +
      "Note that the answer stands by itself, not under `data`.",
    request: { params: idParams },
    responses: { 200: json(z.object({ api_key: z.string() }), "the key") },
  },
  { tag: TAG, scope: "admin", token: "personal", refusals: [404] },
);

/** The room; `forgetTokens` is told of keys that went with their workspace. */
export function workspaceRoutes(
  { db, box }: Pick<ApiDesk, "db" | "box">,
  { forgetTokens }: { forgetTokens(): void },
): OpenAPIHono<ApiEnv> {
  const room = rooms();
  const found = async (id: number): Promise<Workspace> => {
    const row = await readWorkspace(db, id);
    if (row === null) throw notFound();
    return row;
  };
  room.openapi(ownRoute, async (context) => {
    const row = await found(context.get("workspaceId"));
    setEtag(context, row.version);
    return context.json(success(presentWorkspace(row)), 200);
  });
  room.openapi(listRoute, async (context) => {
    const query = context.req.valid("query");
    const page = await listWorkspaces(db, cutOf(query));
    const answer = listAnswer(context, query, page, { present: presentWorkspace, idOf: ({ id }) => id });
    return context.json(answer, 200);
  });
  room.openapi(createRoute, async (context) => {
    const { name, notification_emails, return_workspace_api_key } = context.req.valid("json");
    const actor = actorOf(context.get("caller"));
    const row = await createWorkspace(db, {
      label: name,
      notificationEmails: notification_emails ?? [],
      actor,
    });
    const wantsKey = return_workspace_api_key === true;
    const key = wantsKey
      ? { api_key: await readableWorkspaceKey(db, box, { workspaceId: row.id, actor }) }
      : {};
    setEtag(context, row.version);
    return context.json(created({ ...presentWorkspace(row), ...key }), 201);
  });
  room.openapi(getRoute, async (context) => {
    const row = await found(context.req.valid("param").id);
    setEtag(context, row.version);
    return context.json(success(presentWorkspace(row)), 200);
  });
  room.openapi(updateRoute, async (context) => {
    const { name, notification_emails } = context.req.valid("json");
    const row = await updateWorkspace(db, {
      id: context.req.valid("param").id,
      expectedVersions: expectedVersions(context),
      actor: actorOf(context.get("caller")),
      ...(name === undefined ? {} : { label: name }),
      ...(notification_emails === undefined ? {} : { notificationEmails: notification_emails }),
    });
    setEtag(context, row.version);
    return context.json(updated(presentWorkspace(row)), 200);
  });
  room.openapi(deleteRoute, async (context) => {
    await deleteWorkspace(db, {
      id: context.req.valid("param").id,
      expectedVersions: expectedVersions(context),
      actor: actorOf(context.get("caller")),
    });
    forgetTokens();
    return context.json(deleted(), 200);
  });
  room.openapi(keyRoute, async (context) => {
    const { id } = await found(context.req.valid("param").id);
    const actor = actorOf(context.get("caller"));
    return context.json({ api_key: await readableWorkspaceKey(db, box, { workspaceId: id, actor }) }, 200);
  });
  return room;
}
