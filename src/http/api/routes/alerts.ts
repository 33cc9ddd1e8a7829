/** Alerts: what is wrong with syncs now, what was, and how it went. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { getAlert, pageOfAlerts } from "../../../projections/alerts.ts";
import { alertEvents } from "../../../runtime/alerts/alertEvents.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { historyAnswer, historyQuery } from "../historyPages.ts";
import { alertSchema, presentAlert } from "../objects/alert.ts";
import { alertEventSchema } from "../objects/event.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "Alerts";

const listRoute = endpoint(
  {
    method: "get",
    path: "/alerts",
    summary: "List alerts",
    request: {
      query: pageQuery.extend({
        status: z
          .enum(["open", "resolved"], { error: "Give open or resolved." })
          .optional()
          .openapi({ example: "open" }),
        sync_id: z
          .string()
          .regex(/^[1-9]\d{0,14}$/, { error: "Give the id of a sync." })
          .transform(Number)
          .optional()
          .openapi({ type: "integer", description: "only those of this sync" }),
      }),
    },
    responses: { 200: json(listOf(alertSchema), "a page of alerts") },
  },
  { tag: TAG, scope: "read" },
);

const getRoute = endpoint(
  {
    method: "get",
    path: "/alerts/{id}",
    summary: "Get an alert",
    request: { params: idParams },
    responses: { 200: json(envelope("success", alertSchema), "the alert") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const eventsRoute = endpoint(
  {
    method: "get",
    path: "/alerts/{id}/events",
    summary: "List the events of an alert",
    description: "How often it was raised and how it was resolved, from the log, oldest first.",
    request: { params: idParams, query: historyQuery },
    responses: { 200: json(listOf(alertEventSchema), "a page of events") },
  },
  { tag: TAG, scope: "read", refusals: [404, 503] },
);

/** The routes. */
export function alertRoutes({ db, log }: Pick<ApiDesk, "db" | "log">): OpenAPIHono<ApiEnv> {
  const api = rooms();
  api.openapi(listRoute, async (context) => {
    const query = context.req.valid("query");
    const { status: state, sync_id: syncId } = query;
    const page = await pageOfAlerts(db, {
      workspaceId: context.get("workspaceId"),
      syncId,
      state,
      ...cutOf(query),
    });
    return context.json(
      listAnswer(context, query, page, { present: presentAlert, idOf: ({ id }) => id }),
      200,
    );
  });
  api.openapi(getRoute, async (context) => {
    const alert = await getAlert(db, context.req.valid("param").id);
    if (alert === null || alert.workspace_id !== context.get("workspaceId")) throw notFound();
    return context.json(success(presentAlert(alert)), 200);
  });
  api.openapi(eventsRoute, async (context) => {
    const alert = await getAlert(db, context.req.valid("param").id);
    if (alert === null || alert.workspace_id !== context.get("workspaceId")) throw notFound();
    const events = await alertEvents(log, alert);
    return context.json(historyAnswer(context, context.req.valid("query"), events), 200);
  });
  return api;
}
