/** The document of the management API, OpenAPI 3.1, made from the routes themselves; anybody may read it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { Hono } from "hono";
import type { ApiDesk } from "./apiDesk.ts";
import type { ApiEnv } from "./apiEnv.ts";
import { TAGS } from "./openApiTags.ts";
import { MAX_BODY_BYTES, MAX_DEPTH } from "./requestBody.ts";

/** The document. */
export type OpenApiDocument = ReturnType<OpenAPIHono<ApiEnv>["getOpenAPI31Document"]>;

const DESCRIPTION = `Starts and configures syncs, and shows what they did. Clients of the Census Management API work against it as they are.

**Tokens.** Send one as \`Authorization: Bearer secret-token:…\`, or as HTTP Basic with the user \`bearer\` and the token as
password. A *workspace key* is for everything but \`/workspaces\`; a *personal token* for \`/workspaces\` alone. Scopes:
\`read\` sees, \`operate\` also starts and cancels, \`admin\` also configures. The first token: \`egret init\`, then \`egret token create\`.

**Answers.** \`{"status": "success" | "created" | "updated" | "deleted", "data": …}\`. Errors:
\`{"status": …, "message": "…", "code": 400, "errors": [{"field": "…", "message": "…"}]}\`, where \`status\` is the number for 401 and
404. Any request can be refused with 400 (\`errors\` names each field), 401 (no good token), 403 (its kind or scope) and 429.
Unknown fields of a body are ignored. Every answer carries \`X-Request-Id\`.

**Lists.** \`page\` from 1 and \`per_page\` (25 unless given, at most 100), or \`cursor\` with the \`next_cursor\` of the page before;
\`order\` is by creation, the newest first.

**Repeating safely.** A POST with an \`Idempotency-Key\` is done once within 24 hours; repeated, it gets the first answer again
with \`Idempotency-Replayed: true\`, for another body 422, while the first is under way 409.

**Changing safely.** GET of an object gives an \`ETag\`; send it as \`If-Match\` with PATCH or DELETE, and a change by somebody else in
between makes it 412.

**Limits.** A body has at most ${MAX_BODY_BYTES} bytes and ${MAX_DEPTH} levels. Each token may make so many requests per second as the
operator set (20 unless changed), more in a burst; beyond that 429 with \`Retry-After\`.`;

/** Made once: it is large, and the same for everybody. */
export function openApiDocument(
  routes: OpenAPIHono<ApiEnv>,
  { version, base }: Pick<ApiDesk, "version"> & { base: string },
): OpenApiDocument {
  const registry = routes.openAPIRegistry;
  registry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "a workspace key or personal token, `secret-token:…`",
  });
  registry.registerComponent("securitySchemes", "basic", {
    type: "http",
    scheme: "basic",
    description: "user `bearer`, password the token",
  });
  const document = routes.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Egret management API",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0" },
    },
    servers: [{ url: base, description: "this server" }],
  });
  return { ...withHeaders(document), tags: tagsOf(document) };
}

const HEADERS = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header" as const,
    schema: { type: "string" as const, minLength: 1, maxLength: 255 },
    description:
      "repeated with the same key within 24 hours, the request is answered as the first time and done once",
  },
  IfMatch: {
    name: "If-Match",
    in: "header" as const,
    schema: { type: "string" as const },
    description: "the ETag that GET answered: 412 when somebody changed it since",
  },
};

/** What the middleware reads is described here once, not by each route: a key for every POST, a version where 412 is an answer. */
function withHeaders(document: OpenApiDocument): OpenApiDocument {
  for (const path of Object.values(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(path as Record<string, DocumentedOperation>)) {
      const name = method === "post" ? "IdempotencyKey" : "412" in operation.responses ? "IfMatch" : null;
      if (name === null) continue;
      operation.parameters = [...(operation.parameters ?? []), { $ref: `#/components/parameters/${name}` }];
    }
  }
  return { ...document, components: { ...document.components, parameters: HEADERS } };
}

interface DocumentedOperation {
  parameters?: object[];
  responses: object;
}

/** Those that routes have, in the order of the list, then the others by name. */
function tagsOf({ paths = {} }: OpenApiDocument): { name: string; description?: string }[] {
  const used = new Set(
    Object.values(paths).flatMap((path) =>
      Object.values(path as Record<string, { tags?: string[] }>).flatMap(({ tags = [] }) => tags),
    ),
  );
  const listed = Object.entries(TAGS).filter(([name]) => used.has(name));
  const others = [...used].filter((name) => !(name in TAGS)).sort();
  return [
    ...listed.map(([name, description]) => ({ name, description })),
    ...others.map((name) => ({ name })),
  ];
}

/** `GET /openapi.json`, without a token. */
export function openApiRoute(document: () => OpenApiDocument): Hono<ApiEnv> {
  let text: string | null = null;
  return new Hono<ApiEnv>().get("/openapi.json", (context) => {
    text ??= JSON.stringify(document());
    return context.body(text, 200, { "Content-Type": "application/json" });
  });
}
