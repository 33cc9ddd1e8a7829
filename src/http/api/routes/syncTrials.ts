/** What would a sync do: a dry run, one record sent as a test, the first requests as a preview. */
import { createHash, randomUUID } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { readSync } from "../../../configuration/store.ts";
import { RunFailure, Unavailable } from "../../../domain/errors.ts";
import { cleanTraceparent } from "../../../domain/traceparent.ts";
import { testReportSchema } from "../../../domain/trial.ts";
import { previewSync } from "../../../engine/preview.ts";
import { acceptTrial, readTestExchange } from "../../../engine/trials.ts";
import { RunReader } from "../../../runtime/runs/runReader.ts";
import { shownRequest } from "../../../runtime/trials/testSync.ts";
import { requestTrial, type TrialCommand } from "../../../runtime/trials/trialCommands.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf, type Caller } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import { endpoint, idParam, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { presentRun } from "../objects/syncRun.ts";
import { requireSync } from "../syncPlace.ts";

const TAG = "Syncs";
const MAX_PREVIEW_ROWS = 100;
/** Stands for the id that a run would have. */
const NO_RUN = 0;

const dryRun = endpoint(
  {
    method: "post",
    path: "/syncs/{id}/dry_run",
    summary: "Dry run",
    description:
      "Works out what a run would do now; nothing is sent, remembered or told to webhooks. GET /sync_runs/{id} has the " +
      "figures under `dry_run` once it has completed.",
    request: {
      params: idParams,
      body: jsonBody(
        z.object({ force_full_sync: z.boolean({ error: "Write true or false." }).nullish() }),
        {},
        false,
      ),
    },
    responses: { 200: json(envelope("success", z.object({ sync_run_id: z.int() })), "the dry run") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const test = endpoint(
  {
    method: "post",
    path: "/syncs/{id}/test",
    summary: "Send one record",
    description:
      "The first valid row in the order of keys, or the one with `identifier` as its key. It counts for nothing: a run " +
      "sends the row all the same.",
    request: {
      params: idParams,
      body: jsonBody(
        z.object({
          identifier: z
            .union([z.string().max(2_000), z.number().transform(String)])
            .nullish()
            .openapi({ type: "string", description: "key of the row to send" }),
        }),
        {},
        false,
      ),
    },
    responses: {
      200: json(envelope("success", z.object({ test_sync_run_id: z.int() })), "the test run"),
    },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const headersSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

const testRunSchema = z
  .object({
    id: z.int(),
    sync_id: z.int(),
    status: z.enum(["working", "completed", "failed", "skipped"]),
    ...testReportSchema.partial().shape,
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    error_detail: z.string().nullable(),
    created_at: z.iso.datetime(),
    completed_at: z.iso.datetime().nullable(),
    request: z
      .object({ method: z.string(), url: z.string(), headers: headersSchema, body: z.string() })
      .nullable()
      .openapi({ description: "as it was sent, secrets replaced; null before, and past its retention" }),
    response: z
      .object({
        http_status: z.int().nullable(),
        headers: headersSchema.nullable(),
        body: z.string().nullable(),
        error: z.string().nullable(),
        duration_ms: z.number(),
      })
      .nullable(),
  })
  .openapi("TestRun");

const testRun = endpoint(
  {
    method: "get",
    path: "/syncs/{id}/test_runs/{test_run_id}",
    summary: "Show a test run",
    description: "How the record fared, with the request and what the destination answered.",
    request: {
      params: idParams.extend({
        test_run_id: idParam.openapi({ type: "integer", format: "int64", minimum: 1, example: 7012 }),
      }),
    },
    responses: { 200: json(envelope("success", testRunSchema), "the test run") },
  },
  { tag: TAG, scope: "operate", refusals: [404] },
);

const previewedSchema = z
  .object({
    requests: z.array(
      z.object({
        method: z.string(),
        url: z.string(),
        rows: z.int(),
        body: z.string().openapi({ description: "byte by byte as it would be sent" }),
      }),
    ),
    invalid: z.array(z.string()).openapi({ description: "why rows among the first would be set aside" }),
  })
  .openapi("SyncPreview");

const preview = endpoint(
  {
    method: "post",
    path: "/syncs/{id}/preview",
    summary: "Preview requests",
    description:
      "The first rows of the source exactly as a run that sends all would send them; nothing is sent.",
    request: {
      params: idParams,
      body: jsonBody(
        z.object({
          rows: z
            .int({ error: `Give a whole number from 1 to ${MAX_PREVIEW_ROWS}.` })
            .min(1, { error: `Give a whole number from 1 to ${MAX_PREVIEW_ROWS}.` })
            .max(MAX_PREVIEW_ROWS, { error: `Give a whole number from 1 to ${MAX_PREVIEW_ROWS}.` })
            .nullish(),
        }),
        { rows: 5 },
        false,
      ),
    },
    responses: { 200: json(envelope("success", previewedSchema), "the requests") },
  },
  { tag: TAG, scope: "operate", refusals: [404, 503] },
);

/** The room. */
export function syncTrialRoutes(desk: ApiDesk) {
  const room = rooms();
  const { db, box } = desk;
  const runs = new RunReader(desk);

  room.openapi(dryRun, async (context) => {
    const { force_full_sync: isFull } = context.req.valid("json");
    const wish = { kind: "dry", isFull: isFull === true, identifier: null } as const;
    const place = { workspaceId: context.get("workspaceId"), id: context.req.valid("param").id };
    const runId = await beginTrial(desk, { ...place, ...wish, ...askerOf(context) });
    return context.json(success({ sync_run_id: runId }), 200);
  });

  room.openapi(test, async (context) => {
    const { identifier = null } = context.req.valid("json");
    const wish = { kind: "test", isFull: false, identifier } as const;
    const place = { workspaceId: context.get("workspaceId"), id: context.req.valid("param").id };
    const runId = await beginTrial(desk, { ...place, ...wish, ...askerOf(context) });
    return context.json(success({ test_sync_run_id: runId }), 200);
  });

  room.openapi(testRun, async (context) => {
    const { id: syncId, test_run_id: runId } = context.req.valid("param");
    const run = await runs.read({ workspaceId: context.get("workspaceId"), runId });
    if (run === null || run.sync_id !== syncId || run.run_kind !== "test") throw notFound();
    const exchange = await readTestExchange(db, runId);
    const { id, sync_id, status, error_code, error_message, error_detail, created_at, completed_at, test } =
      presentRun(run, null);
    const facts = { id, sync_id, status, error_code, error_message, error_detail, created_at, completed_at };
    const { request = null, response = null } = exchange ?? {};
    const shown = response === null ? null : { ...response, headers: definedHeaders(response.headers) };
    return context.json(success({ ...facts, ...test, request, response: shown }), 200);
  });

  room.openapi(preview, async (context) => {
    const { id } = context.req.valid("param");
    await requireSync(db, { workspaceId: context.get("workspaceId"), id });
    const sync = await readSync(db, box, id);
    if (sync === null) throw notFound();
    const { rows } = context.req.valid("json");
    const facts = { sync, runId: NO_RUN, at: desk.now() };
    const { requests, invalid } = await previewSync(facts, rows ?? 5).catch(refuseFailure);
    const shown = requests.map((request) => {
      const { method, url } = shownRequest(sync.destination, request);
      return { method, url, rows: request.rows, body: request.body.toString("utf8") };
    });
    return context.json(success({ requests: shown, invalid }), 200);
  });

  return room;
}

interface Asker {
  caller: Caller;
  key: string | null;
  traceparent: string | undefined;
}

function askerOf(context: { get(name: "caller"): Caller; req: { raw: Request } }): Asker {
  const { headers } = context.req.raw;
  return {
    caller: context.get("caller"),
    key: headers.get("Idempotency-Key"),
    traceparent: cleanTraceparent(headers.get("traceparent")),
  };
}

async function beginTrial(
  { db, log }: ApiDesk,
  wish: Pick<TrialCommand, "workspaceId" | "kind" | "isFull" | "identifier"> & { id: number } & Asker,
): Promise<number> {
  const { id, caller, key, ...command } = wish;
  const { workspaceId } = wish;
  const sync = await requireSync(db, { workspaceId, id });
  const unique = key === null ? randomUUID() : hashOf([caller.tokenId, wish.kind, id, key]);
  const requested = await requestTrial(
    {
      log,
      desk: {
        findSync: async () => sync,
        syncNames: async () => [],
        acceptTrial: (trial) => acceptTrial(db, trial),
      },
    },
    { ...command, sync: id, commandId: `trial-${unique}`, reason: actorOf(caller) },
  );
  if ("refusal" in requested) throw notFound();
  return requested.runId;
}

function hashOf(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
}

function definedHeaders(headers: Record<string, string | string[] | undefined> | null) {
  if (headers === null) return null;
  const found: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) found[name] = value;
  return found;
}

/** A source that is silent may answer later; anything else is for the operator to mend. */
function refuseFailure(error: unknown): never {
  if (!(error instanceof RunFailure)) throw error;
  const message = `${error.runCode}: ${error.message}${error.detail === null ? "" : `. ${error.detail}`}`;
  if (error.runCode === "SOURCE_CONNECTION_FAILED" || error.runCode === "SOURCE_TIMEOUT")
    throw new Unavailable(message, { cause: error });
  throw new ApiRefusal(400, message);
}
