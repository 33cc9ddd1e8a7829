/**
 * Lists of deliveries, of which there can be millions: pages by place in time, counted only as far as it is quick.
 */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Kysely } from "kysely";
import { LIFECYCLE_EVENTS } from "../../domain/lifecycle.ts";
import type { Database } from "../../projections/database.ts";
import { type AttemptedDelivery, withAttempts } from "../../projections/deliveryDetail.ts";
import {
  countDeliveriesUpTo,
  type DeliveryFilter,
  placeText,
  readPlace,
  searchDeliveries,
} from "../../projections/deliverySearch.ts";
import { ApiRefusal } from "./apiErrors.ts";
import { DELIVERY_STATES, deliverySchema, presentDelivery } from "./objects/delivery.ts";
import { listOf, nextAddress, pageQuery, paginationSchema } from "./paging.ts";
import { idText, spanShape } from "./queryParts.ts";

/** Counting stops here. */
const MOST_COUNTED = 10_000;
/** As far as pages by number go: each costs as much as all before it together. */
const MOST_PASSED_OVER = 100_000;

/** By what deliveries of any target are searched. */
export const deliveryQuery = pageQuery.extend({
  cursor: z
    .string()
    .transform((text, context) => {
      const place = readPlace(text);
      if (place !== null) return place;
      context.addIssue({ code: "custom", message: "Give the `next_cursor` of the page before." });
      return z.NEVER;
    })
    .optional()
    .openapi({
      type: "string",
      description:
        "instead of `page`, and as quick on the last page as on the first: `pagination.next_cursor`",
    }),
  state: z.enum(DELIVERY_STATES, { error: `Write one of: ${DELIVERY_STATES.join(", ")}.` }).optional(),
  sync_id: idText.optional(),
  sync_run_id: idText.optional(),
  http_status: z
    .string()
    .regex(/^[1-5]\d\d$/, { error: "Give a status such as 503." })
    .transform(Number)
    .optional()
    .openapi({ type: "integer", description: "of the last attempt that was answered" }),
  ...spanShape,
});

/** Those of webhooks also by event. */
export const webhookDeliveryQuery = deliveryQuery.extend({
  event: z.enum(LIFECYCLE_EVENTS, { error: `Write one of: ${LIFECYCLE_EVENTS.join(", ")}.` }).optional(),
});

type Query = z.infer<typeof deliveryQuery> & Partial<z.infer<typeof webhookDeliveryQuery>>;

/** Those of a run, whatever their targets. */
export const runDeliveryQuery = webhookDeliveryQuery.omit({ sync_id: true, sync_run_id: true });

/** The answer in the document. */
export const deliveryListSchema = listOf(deliverySchema).extend({
  pagination: paginationSchema.extend({
    total_is_exact: z
      .boolean()
      .openapi({ description: `false: there are at least so many; counting stops at ${MOST_COUNTED}` }),
  }),
});

/**
 * A page of the deliveries of a target or a run.
 * @throws ApiRefusal (400) for a page by number that is too far out.
 */
export async function deliveryPage(
  db: Kysely<Database>,
  context: Context,
  { query, target }: { query: Query; target: DeliveryFilter },
): Promise<z.infer<typeof deliveryListSchema>> {
  const { page, per_page: perPage, order, cursor } = query;
  const offset = cursor === undefined ? (page - 1) * perPage : 0;
  if (offset > MOST_PASSED_OVER) throw tooFarOut();
  const filter: DeliveryFilter = {
    ...target,
    states: query.state === undefined ? undefined : [query.state],
    event: query.event,
    syncId: query.sync_id,
    runId: query.sync_run_id ?? target.runId,
    httpStatus: query.http_status,
    since: query.since,
    until: query.until,
  };
  const [rows, total] = await Promise.all([
    searchDeliveries(db, {
      ...filter,
      after: cursor,
      oldestFirst: order === "asc",
      limit: perPage + 1,
      offset,
    }),
    countDeliveriesUpTo(db, filter, MOST_COUNTED),
  ]);
  const shown = await withAttempts(db, rows.slice(0, perPage));
  return answerOf(context, query, { shown, total, isMore: rows.length > perPage });
}

function tooFarOut(): ApiRefusal {
  const message = `Pages end after ${MOST_PASSED_OVER} deliveries: go on by \`cursor\`, or narrow the search.`;
  return new ApiRefusal(400, `page: ${message}`, { problems: [{ field: "page", message }] });
}

function answerOf(
  context: Context,
  { page, per_page: perPage, cursor }: Query,
  { shown, total, isMore }: { shown: AttemptedDelivery[]; total: number; isMore: boolean },
): z.infer<typeof deliveryListSchema> {
  const last = shown.at(-1);
  const nextCursor = isMore && last !== undefined ? placeText(last) : null;
  const isByPage = cursor === undefined;
  const nextPage = isByPage && isMore && page * perPage <= MOST_PASSED_OVER ? page + 1 : null;
  const next = nextPage === null ? { cursor: nextCursor ?? "" } : { page: String(nextPage) };
  return {
    status: "success",
    data: shown.map(presentDelivery),
    pagination: {
      total_records: total,
      total_is_exact: total < MOST_COUNTED,
      per_page: perPage,
      prev_page: isByPage && page > 1 ? page - 1 : null,
      page,
      next_page: nextPage,
      last_page: Math.max(1, Math.ceil(total / perPage), nextPage ?? 1),
      next_cursor: nextCursor,
    },
    next: isMore ? nextAddress(context, next) : null,
  };
}
