/** API inspector: the latest requests to the destination of a sync and the answers (behaviour.md 8.3). */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { LATEST_CALLS, latestCalls } from "../../../projections/calls.ts";
import { success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { apiCallSchema, presentCall } from "../objects/apiCall.ts";

/** `succeeded`, `failed`, a status such as 422, or a class such as 4xx. */
const STATUS_FORM = /^(?:succeeded|failed|[1-5]\d\d|[1-5]xx)$/;

const route = endpoint(
  {
    method: "get",
    path: "/syncs/{id}/api_calls",
    summary: "List the latest requests to a sync's destination, with the answers",
    description: "Newest first, at most 100, as far as exchanges are kept (at most 7 days).",
    request: {
      params: idParams,
      query: z.object({
        limit: z
          .string()
          .regex(/^\d{1,9}$/, { error: "Give a whole number." })
          .default(String(LATEST_CALLS))
          .transform((count) => Math.min(LATEST_CALLS, Math.max(1, Number(count))))
          .openapi({
            type: "integer",
            minimum: 1,
            default: LATEST_CALLS,
            description: "at most 100; more is read as 100",
          }),
        sync_run_id: z
          .string()
          .regex(/^[1-9]\d{0,14}$/, { error: "Give the id of a run." })
          .transform(Number)
          .optional()
          .openapi({ type: "integer", description: "only those of this run" }),
        status: z
          .string()
          .regex(STATUS_FORM, {
            error: "Give succeeded, failed, a status such as 422, or a class such as 4xx.",
          })
          .optional()
          .openapi({
            description: "`succeeded` (2xx), `failed` (anything else), a status, or a class such as 4xx",
            example: "4xx",
          }),
      }),
    },
    responses: {
      200: json(z.object({ status: z.literal("success"), data: z.array(apiCallSchema) }), "calls"),
    },
  },
  { tag: "API calls", scope: "read", refusals: [404] },
);

/** The routes. */
export function apiCallRoutes({ db }: Pick<ApiDesk, "db">): OpenAPIHono<ApiEnv> {
  const api = rooms();
  api.openapi(route, async (context) => {
    const { id: syncId } = context.req.valid("param");
    const { limit, sync_run_id: runId, status } = context.req.valid("query");
    const sync = await db
      .selectFrom("egret.syncs")
      .select("id")
      .where("id", "=", syncId)
      .where("workspace_id", "=", context.get("workspaceId"))
      .executeTakeFirst();
    if (sync === undefined) throw notFound();
    const isWanted = status === undefined ? undefined : (found: number | null) => fits(found, status);
    const calls = await latestCalls(db, { syncId, runId, limit, isWanted });
    return context.json(success(calls.map(presentCall)), 200);
  });
  return api;
}

function fits(httpStatus: number | null, wanted: string): boolean {
  const isGood = httpStatus !== null && httpStatus >= 200 && httpStatus < 300;
  if (wanted === "succeeded") return isGood;
  if (wanted === "failed") return !isGood;
  const status = String(httpStatus);
  return wanted.endsWith("xx")
    ? status.startsWith(wanted.slice(0, 1)) && httpStatus !== null
    : status === wanted;
}
