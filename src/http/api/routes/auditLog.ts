/** The route of the audit log: who wrote what through this API and the pages behind links. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { listAuditEntries, type StoredAuditEntry } from "../../../configuration/apiAudit.ts";
import { instant } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { endpoint, json, rooms } from "../endpoint.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const entrySchema = z
  .object({
    id: z.int(),
    at: z.iso.datetime(),
    token_id: z.int().nullable().openapi({ description: "null for what was sent with a link" }),
    link_id: z.int().nullable().openapi({
      description: "the link to the page on which it was sent; null for what was sent with a token",
    }),
    token_name: z
      .string()
      .openapi({ description: "of the token; of a link, its id and who made it", example: "terraform" }),
    method: z.string(),
    route: z.string().openapi({
      description: "of a page behind a link with what was to be done: save, test or add",
      example: "/syncs/{id}",
    }),
    object_id: z
      .string()
      .nullable()
      .openapi({ description: "what stands in the path, or the id of what was made" }),
    status: z.int().openapi({ description: "the HTTP status of the answer" }),
    address: z.string(),
    user_agent: z.string().nullable(),
    request_id: z.string(),
  })
  .openapi("AuditEntry");

const listRoute = endpoint(
  {
    method: "get",
    path: "/audit_log",
    summary: "List writing requests",
    description:
      "Every request of this workspace's keys that was to change something, and every form that was sent with one of its links; also refused ones. Without what was sent.",
    request: { query: pageQuery },
    responses: { 200: json(listOf(entrySchema), "a page of entries") },
  },
  { tag: "Audit log", scope: "admin" },
);

/** The room; `flushAudit` writes what is still gathered, so that one reads what one wrote. */
export function auditLogRoutes(
  { db }: Pick<ApiDesk, "db">,
  { flushAudit }: { flushAudit(): Promise<void> },
): OpenAPIHono<ApiEnv> {
  const room = rooms();
  room.openapi(listRoute, async (context) => {
    await flushAudit();
    const query = context.req.valid("query");
    const page = await listAuditEntries(db, context.get("workspaceId"), cutOf(query));
    return context.json(listAnswer(context, query, page, { present, idOf: ({ id }) => id }), 200);
  });
  return room;
}

function present(stored: StoredAuditEntry): z.infer<typeof entrySchema> {
  const { at, workspace_id: _own, ...entry } = stored;
  return { ...entry, at: instant(at) };
}
