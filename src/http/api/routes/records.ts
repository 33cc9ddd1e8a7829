/** Rows of a run with what became of them: pages, how many there are, and addresses of an export of all. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Kysely } from "kysely";
import { EXPORT_FORMATS, RECORD_OPERATIONS, STATUS_WORDS, statusesOf } from "../../../engine/recordExport.ts";
import {
  areRecordsKept,
  countRecords,
  listRecords,
  type RecordCount,
} from "../../../engine/recordQueries.ts";
import {
  parseCursor,
  RECORD_STATUSES,
  type RecordFilter,
  type RecordStatus,
} from "../../../engine/records.ts";
import type { Database } from "../../../projections/database.ts";
import { EXPORT_LIFETIME_S, exportAddress } from "../../exportLinks.ts";
import { instant, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { recordSchema, recordsBody } from "../objects/record.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";

const TAG = "Records";

const filterShape = {
  status: z
    .enum(STATUS_WORDS, { error: `Give one of ${STATUS_WORDS.join(", ")}.` })
    .optional()
    .openapi({ description: "`invalid` is NULL, DUPLICATE and INVALID together", example: "rejected" }),
  operation: z.enum(RECORD_OPERATIONS, { error: `Give one of ${RECORD_OPERATIONS.join(", ")}.` }).optional(),
};
/** In an export's address the key goes along. */
const MAX_EXPORTED_KEY_CHARS = 1_000;
const keyShape = {
  primary_identifier: z.string().max(10_000).optional().openapi({ description: "the exact key" }),
};

const listRoute = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}/records",
    summary: "List the rows of a run with what became of them",
    description:
      "Rows that were set aside first, then those that were sent, in the order of their batches; `order` changes nothing.",
    request: {
      params: idParams,
      query: pageQuery.omit({ cursor: true }).extend({
        ...filterShape,
        ...keyShape,
        cursor: z
          .string()
          .refine((text) => parseCursor(text) !== null, {
            error: "Give the `next_cursor` of the page before.",
          })
          .optional()
          .openapi({ description: "instead of `page`: `pagination.next_cursor` of the page before" }),
      }),
    },
    responses: { 200: json(listOf(recordSchema), "a page of rows") },
  },
  { tag: TAG, scope: "read", refusals: [404, 410] },
);

const countRoute = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}/records_count",
    summary: "Count the rows of a run",
    request: { params: idParams, query: z.object({ ...filterShape, ...keyShape }) },
    responses: {
      200: json(
        z.object({ status: z.literal("success"), data: z.array(z.object({ record_count: z.int() })) }),
        "how many a list with the same filters has",
      ),
    },
  },
  { tag: TAG, scope: "read", refusals: [404, 410] },
);

const exportRoute = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}/records_export",
    summary: "Get addresses from which all rows of an ended run can be fetched",
    description: `Each address works without a token for ${EXPORT_LIFETIME_S / 60} minutes: it is as secret as the rows.`,
    request: {
      params: idParams,
      query: z.object({
        ...filterShape,
        primary_identifier: z
          .string()
          .max(MAX_EXPORTED_KEY_CHARS, { error: `Must have at most ${MAX_EXPORTED_KEY_CHARS} characters.` })
          .optional()
          .openapi({ description: "the exact key" }),
        format: z
          .enum(EXPORT_FORMATS, { error: `Give one of ${EXPORT_FORMATS.join(", ")}.` })
          .default("ndjson")
          .openapi({ description: "one JSON object a line, or CSV with a header" }),
        escape_formulas: z
          .enum(["true", "false"])
          .default("false")
          .openapi({ description: "of CSV: a value that a spreadsheet would run gets ' in front of it" }),
      }),
    },
    responses: {
      200: json(
        z.object({
          status: z.literal("success"),
          urls: z.array(z.url()),
          expires_at: z.iso.datetime(),
        }),
        "addresses",
      ),
    },
  },
  { tag: TAG, scope: "read", refusals: [404, 425] },
);

/** The routes. */
export function recordRoutes(desk: ApiDesk): OpenAPIHono<ApiEnv> {
  const { db } = desk;
  const api = rooms();
  api.openapi(listRoute, async (context) => {
    const query = context.req.valid("query");
    const run = await runOf(db, context.get("workspaceId"), context.req.valid("param").id);
    await checkKept(db, run);
    const filter = filterOf(run, query);
    const { cursor: after } = query;
    const { limit, offset } = cutOf({ ...query, cursor: undefined });
    const wanted = { ...filter, limit, ...(after === undefined ? { offset } : { after }) };
    const [rows, counts] = await Promise.all([listRecords(db, wanted), countRecords(db, filter)]);
    const page = { rows, total: sum(counts) };
    // The texts of the rows go in as they are, see recordsBody.
    const { data: _, ...frame } = listAnswer(context, query, page, { present: () => null, idOf });
    const text = recordsBody(frame, rows);
    return context.body(text, 200, { "Content-Type": "application/json" }) as never;
  });
  api.openapi(countRoute, async (context) => {
    const query = context.req.valid("query");
    const run = await runOf(db, context.get("workspaceId"), context.req.valid("param").id);
    // Counts of all outlive the rows; keys go with them.
    if (query.primary_identifier !== undefined) await checkKept(db, run);
    const counts = await countRecords(db, filterOf(run, query));
    return context.json(success([{ record_count: sum(counts) }]), 200);
  });
  api.openapi(exportRoute, async (context) => {
    const { format, escape_formulas: escape, ...query } = context.req.valid("query");
    const workspaceId = context.get("workspaceId");
    const run = await runOf(db, workspaceId, context.req.valid("param").id);
    await checkExportable(db, run);
    const expiresAt = new Date(desk.now().getTime() + EXPORT_LIFETIME_S * 1_000);
    const form = { format, escapesFormulas: escape === "true" };
    const url = exportAddress(desk, { workspaceId, filter: filterOf(run, query), form, expiresAt });
    return context.json({ status: "success" as const, urls: [url], expires_at: instant(expiresAt) }, 200);
  });
  return api;
}

const idOf = ({ cursor }: { cursor: string }): string => cursor;
const sum = (counts: Record<RecordStatus, RecordCount>): number =>
  RECORD_STATUSES.reduce((total, status) => total + counts[status].records, 0);

interface FoundRun {
  id: number;
  syncId: number;
  kind: "normal" | "dry" | "test";
  /** Null before its end. */
  ended: "completed" | "failed" | "skipped" | null;
  /** False for one that had no plan: it has no rows, and never had. */
  isPlanned: boolean;
}

/**
 * A run of the workspace. One that was accepted a moment ago may not stand in the read model yet.
 * @throws ApiRefusal 404.
 */
async function runOf(db: Kysely<Database>, workspaceId: number, id: number): Promise<FoundRun> {
  const run = await db
    .selectFrom("egret_read.runs")
    .select(["id", "sync_id", "run_kind", "status", "batches"])
    .where("id", "=", id)
    .where("workspace_id", "=", workspaceId)
    .executeTakeFirst();
  if (run !== undefined) {
    const ended = run.status === "queued" || run.status === "working" ? null : run.status;
    return { id, syncId: run.sync_id, kind: run.run_kind, ended, isPlanned: run.batches !== null };
  }
  const accepted = await db
    .selectFrom("egret.accepted_commands")
    .select("run_id")
    .where("workspace_id", "=", workspaceId)
    .where("run_id", "=", id)
    .executeTakeFirst();
  if (accepted === undefined) throw notFound();
  return { id, syncId: 0, kind: "normal", ended: null, isPlanned: false };
}

type FilterQuery = {
  status?: (typeof STATUS_WORDS)[number] | undefined;
  operation?: RecordFilter["operation"];
  primary_identifier?: string | undefined;
};

function filterOf(run: FoundRun, query: FilterQuery): RecordFilter {
  const { status, operation, primary_identifier: identifier } = query;
  const statuses = status === undefined ? undefined : statusesOf(status);
  return { runId: run.id, syncId: run.syncId, statuses, identifier, operation };
}

const NOT_KEPT = "The rows of this run are not kept any more (EGRET_RECORD_RETENTION_DAYS).";

async function isKept(db: Kysely<Database>, run: FoundRun): Promise<boolean> {
  return run.ended === null || !run.isPlanned || run.kind !== "normal" || (await areRecordsKept(db, run.id));
}

async function checkKept(db: Kysely<Database>, run: FoundRun): Promise<void> {
  if (!(await isKept(db, run))) throw new ApiRefusal(410, NOT_KEPT);
}

async function checkExportable(db: Kysely<Database>, run: FoundRun): Promise<void> {
  if (run.kind !== "normal") {
    throw new ApiRefusal(400, `This was a ${run.kind} run: rows are kept of runs that send them all.`);
  }
  if (run.ended === null) {
    const message = "The run is still under way: ask again when it has ended.";
    throw new ApiRefusal(425, message, { headers: { "Retry-After": "10" } });
  }
  if (!run.isPlanned) {
    throw new ApiRefusal(
      400,
      "The run ended before it had found any rows to send: there is nothing to export.",
    );
  }
  if (!(await isKept(db, run))) throw new ApiRefusal(400, NOT_KEPT);
}
