/** Lists by page and by cursor, in a stable order: creation, newest first unless asked otherwise (behaviour.md 10.2). */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";

const DEFAULT_PER_PAGE = 25;
const MAX_PER_PAGE = 100;

const wholeOr = (fallback: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, { error: "Give a whole number." })
    .transform(Number)
    .default(fallback);

/** Query of every list. `page` 0 is 1 and `per_page` above 100 is 100. Source: docs. */
export const pageQuery = z.object({
  page: wholeOr(1)
    .transform((page) => Math.max(1, page))
    .openapi({ type: "integer", minimum: 0, default: 1, description: "from 1; 0 is read as 1" }),
  per_page: wholeOr(DEFAULT_PER_PAGE)
    .transform((count) => Math.min(MAX_PER_PAGE, Math.max(1, count)))
    .openapi({
      type: "integer",
      minimum: 1,
      default: DEFAULT_PER_PAGE,
      description: "at most 100; more is read as 100",
    }),
  order: z
    .enum(["asc", "desc"])
    .default("desc")
    .openapi({ description: "by creation: `desc` begins with the newest" }),
  /** Source: ours: pages that do not shift while objects are made and deleted. */
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,15}$/, { error: "Give the `next_cursor` of the page before." })
    .transform(Number)
    .optional()
    .openapi({
      type: "string",
      description: "instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1",
    }),
});

/** A page that is asked for. */
export type PageQuery = z.infer<typeof pageQuery>;

/** A page that was read: its rows, and how many there are in all. */
export interface Page<T> {
  rows: T[];
  total: number;
}

/**
 * How a list in order of ids is cut, for a query: `afterId` is the last id of the page before (cursor), else `offset` rows are skipped.
 * In `desc` order the next page has smaller ids.
 */
export function cutOf({ page, per_page, order, cursor }: PageQuery): {
  limit: number;
  offset: number;
  order: "asc" | "desc";
  afterId: number | null;
} {
  const afterId = cursor ?? null;
  return { limit: per_page, offset: afterId === null ? (page - 1) * per_page : 0, order, afterId };
}

/** Of a list's answer. All numbers, `last_page` at least 1; `next_cursor` is ours. */
export const paginationSchema = z
  .object({
    total_records: z.int(),
    per_page: z.int(),
    prev_page: z.int().nullable(),
    page: z.int(),
    next_page: z.int().nullable(),
    last_page: z.int(),
    next_cursor: z.string().nullable(),
  })
  .openapi("Pagination");

/** A list's answer in the document. */
export function listOf<T extends z.ZodType>(row: T) {
  return z.object({
    status: z.literal("success"),
    data: z.array(row),
    pagination: paginationSchema,
    next: z.string().nullable().openapi({ description: "address of the next page, or null" }),
  });
}

/**
 * A list's answer. `next` carries the address that the client used, also behind a proxy. `lastId` is the id of the last row, for the cursor.
 */
export function listAnswer<T, R>(
  context: Context,
  query: Omit<PageQuery, "cursor"> & { cursor?: number | string | undefined },
  { rows, total }: Page<R>,
  { present, idOf }: { present(row: R): T; idOf(row: R): number | string },
) {
  const { per_page, page, cursor } = query;
  const last_page = Math.max(1, Math.ceil(total / per_page));
  const last = rows.at(-1);
  const isFull = rows.length === per_page;
  const hasNext = cursor === undefined ? page < last_page : isFull;
  const next_cursor = hasNext && last !== undefined ? String(idOf(last)) : null;
  const next_page = cursor === undefined && hasNext ? page + 1 : null;
  return {
    status: "success" as const,
    data: rows.map(present),
    pagination: {
      total_records: total,
      per_page,
      prev_page: cursor === undefined && page > 1 ? Math.min(page - 1, last_page) : null,
      page,
      next_page,
      last_page,
      next_cursor,
    },
    next: hasNext
      ? nextAddress(
          context,
          cursor === undefined ? { page: String(page + 1) } : { cursor: next_cursor ?? "" },
        )
      : null,
  };
}

/** The address of this request with some of its query changed, as the client would write it. */
export function nextAddress(context: Context, changes: Record<string, string>): string {
  const url = new URL(context.req.url);
  const protocol = context.req.header("X-Forwarded-Proto")?.split(",")[0]?.trim();
  const host = context.req.header("X-Forwarded-Host")?.split(",")[0]?.trim();
  if (protocol === "http" || protocol === "https") url.protocol = protocol;
  if (host !== undefined && /^[A-Za-z0-9.\-:[\]]{1,255}$/.test(host)) {
    // A host without a port would keep ours.
    url.port = "";
    url.host = host;
  }
  for (const [name, value] of Object.entries(changes)) url.searchParams.set(name, value);
  return url.toString();
}
