/** Lists that stand in memory and are short: kinds of destinations, a destination's objects. */
import type { Context } from "hono";
import { cutOf, listAnswer, type PageQuery } from "./paging.ts";

/** The answer of such a list; a place in it counts as the id. */
export function shortList<T, R>(
  context: Context,
  query: PageQuery,
  all: readonly R[],
  present: (row: R) => T,
) {
  const { limit, offset, order, afterId } = cutOf(query);
  const numbered = all.map((row, index) => ({ row, id: index + 1 }));
  const ordered = order === "asc" ? numbered : numbered.toReversed();
  const left = ordered.filter(
    ({ id }) => afterId === null || (order === "asc" ? id > afterId : id < afterId),
  );
  const found = { rows: left.slice(offset, offset + limit), total: all.length };
  return listAnswer(context, query, found, { present: ({ row }) => present(row), idOf: ({ id }) => id });
}
