/** Runs: those of a sync, one by its id, and cancelling one. */
import { randomUUID } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { releaseSync } from "../../../engine/claims.ts";
import { pageOfRuns } from "../../../projections/runs.ts";
import { ReadBarrier } from "../../../runtime/readBarrier.ts";
import { cancelRun } from "../../../runtime/runs/cancelRun.ts";
import { ProgressBoard } from "../../../runtime/runs/progressBoard.ts";
import { readRun } from "../../../runtime/runs/runReader.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, rooms } from "../endpoint.ts";
import { presentRun, syncRunSchema } from "../objects/syncRun.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { requireSync } from "../syncPlace.ts";

const TAG = "Sync runs";

const runsQuery = pageQuery.extend({
  run_kind: z
    .enum(["normal", "dry", "test", "all"])
    .default("normal")
    .openapi({ description: "ours: dry and test runs are listed when asked for" }),
});

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

  room.openapi(list, async (context) => {
    const { id: syncId } = context.req.valid("param");
    const workspaceId = context.get("workspaceId");
    const query = context.req.valid("query");
    await requireSync(db, { workspaceId, id: syncId });
    // A page that polls its newest run after a trigger must not see the one before.
    await barrier.passed();
    const runKind = query.run_kind === "all" ? null : query.run_kind;
    const found = await pageOfRuns(db, { workspaceId, syncId, runKind }, cutOf(query));
    const present = (run: (typeof found.rows)[number]) => presentRun(run, board.of(run.id));
    return context.json(listAnswer(context, query, found, { present, idOf: ({ id }) => id }), 200);
  });

  room.openapi(show, async (context) => {
    const { id: runId } = context.req.valid("param");
    const run = await readRun(desk, { workspaceId: context.get("workspaceId"), runId });
    if (run === null) throw notFound();
    return context.json(success(presentRun(run, board.of(run.id))), 200);
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
