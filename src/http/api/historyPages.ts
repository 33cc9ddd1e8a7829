/** Pages of the history of one thing: its events in their order, the oldest first unless asked otherwise. */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cutOf, listAnswer, type PageQuery, pageQuery } from "./paging.ts";

/** Query of a history. */
export const historyQuery = pageQuery.extend({
  order: z
    .enum(["asc", "desc"])
    .default("asc")
    .openapi({ description: "as it happened: `desc` begins with the latest" }),
});

/** A page of the events, which come in the order of their versions; its cursors are versions. */
export function historyAnswer<E extends { version: number }>(
  context: Context,
  query: PageQuery,
  events: readonly E[],
) {
  const { limit, offset, order, afterId } = cutOf(query);
  const inOrder = order === "asc" ? events : events.toReversed();
  const isBehind = ({ version }: E): boolean =>
    afterId === null || (order === "asc" ? version > afterId : version < afterId);
  const rows = inOrder.filter(isBehind).slice(offset, offset + limit);
  const page = { rows, total: events.length };
  return listAnswer(context, query, page, { present: (event) => event, idOf: ({ version }) => version });
}
