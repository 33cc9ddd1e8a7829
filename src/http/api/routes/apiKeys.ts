/** Routes of a workspace's keys: who may use its API, with which rights. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import {
  createApiToken,
  listApiTokens,
  readApiToken,
  revokeApiToken,
} from "../../../configuration/apiTokens.ts";
import { InvalidInput } from "../../../domain/errors.ts";
import { SCOPES } from "../../../security/apiToken.ts";
import { created, deleted, envelope, success, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { type ApiEnv, actorOf } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { apiKeySchema, presentApiKey } from "../objects/apiKey.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "API keys";
const MAX_NAME_CHARS = 200;
/** Beyond it no date of Postgres and no clock agree; far enough for a key that is to live on. Source: ours. */
const LATEST_EXPIRY = new Date("2200-01-01T00:00:00Z");

const listRoute = endpoint(
  {
    method: "get",
    path: "/api_keys",
    summary: "List keys, also revoked and expired ones",
    request: { query: pageQuery },
    responses: { 200: json(listOf(apiKeySchema), "a page of keys") },
  },
  { tag: TAG, scope: "admin" },
);

const createRoute = endpoint(
  {
    method: "post",
    path: "/api_keys",
    summary: "Create a key",
    description:
      "The key itself is in this answer and nowhere else. `read` sees, `operate` also starts and cancels, `admin` also configures.",
    request: {
      body: jsonBody(
        z.object({
          name: z.string().trim().min(1, { error: "Give it a name." }).max(MAX_NAME_CHARS),
          scopes: z
            .array(z.enum(SCOPES, { error: `Scopes are ${SCOPES.join(", ")}.` }))
            .min(1, { error: `Name at least one of ${SCOPES.join(", ")}.` })
            .max(SCOPES.length)
            .default(["admin"])
            .openapi({ description: "each includes those before it; `admin` unless given" }),
          expires_at: z.iso
            .datetime({ offset: true, error: "Give an instant such as 2027-01-31T00:00:00Z." })
            .nullish(),
        }),
        { name: "Airflow", scopes: ["operate"], expires_at: null },
      ),
    },
    responses: {
      201: json(
        envelope("created", apiKeySchema.extend({ api_key: z.string() }).openapi("ApiKeyMade")),
        "the key, shown this once",
      ),
    },
  },
  { tag: TAG, scope: "admin" },
);

const getRoute = endpoint(
  {
    method: "get",
    path: "/api_keys/{id}",
    summary: "Get a key, without the key itself",
    request: { params: idParams },
    responses: { 200: json(envelope("success", apiKeySchema), "the key") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

const revokeRoute = endpoint(
  {
    method: "delete",
    path: "/api_keys/{id}",
    summary: "Revoke a key, for good",
    description: "Other processes of Egret notice within a few seconds. A key may revoke itself.",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "it is out of force") },
  },
  { tag: TAG, scope: "admin", refusals: [404] },
);

/** The room; `forgetTokens` is told of a revocation. */
export function apiKeyRoutes(
  { db, now }: Pick<ApiDesk, "db" | "now">,
  { forgetTokens }: { forgetTokens(): void },
): OpenAPIHono<ApiEnv> {
  const room = rooms();
  room.openapi(listRoute, async (context) => {
    const query = context.req.valid("query");
    const page = await listApiTokens(db, context.get("workspaceId"), cutOf(query));
    return context.json(
      listAnswer(context, query, page, { present: presentApiKey, idOf: ({ id }) => id }),
      200,
    );
  });
  room.openapi(createRoute, async (context) => {
    const { name, scopes, expires_at } = context.req.valid("json");
    const workspaceId = context.get("workspaceId");
    const expiresAt = typeof expires_at !== "string" ? null : new Date(expires_at);
    refuseExpiry(expiresAt, now());
    const actor = actorOf(context.get("caller"));
    const { id, token } = await createApiToken(db, { workspaceId, name, scopes, expiresAt, actor });
    const made = await readApiToken(db, { workspaceId, id });
    if (made === null) throw notFound();
    return context.json(created({ ...presentApiKey(made), api_key: token }), 201);
  });
  room.openapi(getRoute, async (context) => {
    const { id } = context.req.valid("param");
    const token = await readApiToken(db, { workspaceId: context.get("workspaceId"), id });
    if (token === null) throw notFound();
    return context.json(success(presentApiKey(token)), 200);
  });
  room.openapi(revokeRoute, async (context) => {
    const { id } = context.req.valid("param");
    const isRevoked = await revokeApiToken(db, { workspaceId: context.get("workspaceId"), id });
    if (!isRevoked) throw notFound();
    forgetTokens();
    return context.json(deleted(), 200);
  });
  return room;
}

function refuseExpiry(expiresAt: Date | null, now: Date): void {
  if (expiresAt === null || (expiresAt > now && expiresAt <= LATEST_EXPIRY)) return;
  const message = "Give an instant that is still to come, before the year 2200.";
  throw new InvalidInput(`expires_at: ${message}`, [{ field: "expires_at", message }]);
}
