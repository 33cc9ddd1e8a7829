/** Runs: those of a workspace or of a sync, one by its id, what happened in it, and cancelling it. */
import { randomUUID } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { releaseSync } from "../../../engine/claims.ts";
import { isRunEvent, pageOfRuns, type Run } from "../../../projections/runs.ts";
import { ReadBarrier } from "../../../runtime/readBarrier.ts";
import { cancelRun } from "../../../runtime/runs/cancelRun.ts";
import { ProgressBoard } from "../../../runtime/runs/progressBoard.ts";
import { RunReader } from "../../../runtime/runs/runReader.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { historyAnswer, historyQuery } from "../historyPages.ts";
import { runEventSchema } from "../objects/event.ts";
import { presentRun, syncRunSchema } from "../objects/syncRun.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { idText, spanShape } from "../queryParts.ts";
import { requireSync } from "../syncPlace.ts";

const TAG = "Sync runs";

const runsQuery = pageQuery.extend({
  run_kind: z
    .enum(["normal", "dry", "test", "all"])
    .default("normal")
    .openapi({ description: "ours: dry and test runs are listed when asked for" }),
});

const STATUSES = ["working", "completed", "failed", "skipped"] as const;

const all = endpoint(
  {
    method: "get",
    path: "/sync_runs",
    summary: "List the runs of all syncs",
    description: "Newest first unless `order` says otherwise; those of syncs that were deleted too.",
    request: {
      query: runsQuery.extend({
        sync_id: idText.optional().openapi({ type: "integer", description: "only those of this sync" }),
        status: z
          .enum(STATUSES, { error: `Give one of ${STATUSES.join(", ")}.` })
          .optional()
          .openapi({ example: "failed" }),
        ...spanShape,
      }),
    },
    responses: { 200: json(listOf(syncRunSchema), "a page of runs") },
  },
  { tag: TAG, scope: "read" },
);

const list = endpoint(
  {
    method: "get",
    path: "/syncs/{id}/sync_runs",
    summary: "List the runs of a sync",
    description: "Newest first unless `order` says otherwise.",
    request: { params: idParams, query: runsQuery },
    responses: { 200: json(listOf(syncRunSchema), "runs") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const show = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}",
    summary: "Show a run",
    description:
      "Can be read from the moment the trigger was answered. `status` is `working` until the run has ended, then " +
      "`completed`, `failed` (canceled ones too) or `skipped`; from then on `completed_at` is set.",
    request: { params: idParams },
    responses: { 200: json(envelope("success", syncRunSchema), "the run") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const events = endpoint(
  {
    method: "get",
    path: "/sync_runs/{id}/events",
    summary: "List the events of a run",
    description: "What happened in it, from the log, oldest first: as far as it is when it is asked for.",
    request: { params: idParams, query: historyQuery },
    responses: { 200: json(listOf(runEventSchema), "a page of events") },
  },
  { tag: TAG, scope: "read", refusals: [404, 503] },
);

const cancel = endpoint(
  {
    method: "post",
    path: "/sync_runs/{id}/cancel",
    summary: "Cancel a run",
    description:
      "Nothing new is sent; requests under way end and count. One that no worker has taken ends at once, any other " +
      "soon: as `failed`, with `canceled` true. One that has ended answers 409, and nothing changes.",
    request: { params: idParams },
    responses: { 200: json(envelope("cancelled", z.object({})), "it ends") },
  },
  { tag: TAG, scope: "operate", refusals: [404, 409] },
);

/** The room. */
export function syncRunRoutes(desk: ApiDesk) {
  const room = rooms();
  const { db, connection, log } = desk;
  const board = new ProgressBoard(connection);
  const barrier = new ReadBarrier(desk);
  const runs = new RunReader(desk);

  const present = (run: Run) => presentRun(run, board.of(run.id));

  room.openapi(all, async (context) => {
    const workspaceId = context.get("workspaceId");
    const query = context.req.valid("query");
    const { sync_id: syncId, run_kind: runKind, status, since, until } = query;
    await barrier.passed();
    const found = await pageOfRuns(
      db,
      { workspaceId, syncId, runKind: kindOf(runKind), statuses: statusesOf(status), since, until },
      cutOf(query),
    );
    return context.json(listAnswer(context, query, found, { present, idOf: ({ id }) => id }), 200);
  });

  room.openapi(list, async (context) => {
    const { id: syncId } = context.req.valid("param");
    const workspaceId = context.get("workspaceId");
    const query = context.req.valid("query");
    await requireSync(db, { workspaceId, id: syncId });
    // A page that polls its newest run after a trigger must not see the one before.
    await barrier.passed();
    const wanted = { workspaceId, syncId, runKind: kindOf(query.run_kind) };
    const found = await pageOfRuns(db, wanted, cutOf(query));
    return context.json(listAnswer(context, query, found, { present, idOf: ({ id }) => id }), 200);
  });

  room.openapi(show, async (context) => {
    const { id: runId } = context.req.valid("param");
    const run = await runs.read({ workspaceId: context.get("workspaceId"), runId });
    if (run === null) throw notFound();
    return context.json(success(present(run)), 200);
  });

  room.openapi(events, async (context) => {
    const { id: runId } = context.req.valid("param");
    const workspaceId = context.get("workspaceId");
    const run = await runs.read({ workspaceId, runId });
    if (run === null) throw notFound();
    const kind = run.run_kind === "normal" ? "run" : "trial";
    const history = await log.load({ kind, workspaceId, syncId: run.sync_id, runId });
    const told = history.map(({ event }) => event).filter(isRunEvent);
    return context.json(historyAnswer(context, context.req.valid("query"), told), 200);
  });

  room.openapi(cancel, async (context) => {
    const { id: runId } = context.req.valid("param");
    const workspaceId = context.get("workspaceId");
    const answer = await cancelRun(
      { connection, log, release: (syncId, id) => releaseSync(db, syncId, id) },
      {
        workspaceId,
        runId,
        commandId: `api-${randomUUID()}`,
        requestedBy: actorOf(context.get("caller")),
      },
    );
    if (answer.kind === "unknown") throw notFound();
    if (answer.kind === "ended") {
      throw new ApiRefusal(409, `Run ${runId} cannot be canceled any more: ${answer.words}.`);
    }
    return context.json({ status: "cancelled" as const, data: {} }, 200);
  });

  return room;
}

type RunKind = z.infer<typeof runsQuery>["run_kind"];

const kindOf = (asked: RunKind): Run["run_kind"] | null => (asked === "all" ? null : asked);

/** The API says `working` of a run that waits, too. */
function statusesOf(status: (typeof STATUSES)[number] | undefined): Run["status"][] | undefined {
  if (status === undefined) return undefined;
  return status === "working" ? ["queued", "working"] : [status];
}
