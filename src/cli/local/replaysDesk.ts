/** Replays over the services: asked for in the log, read from our Postgres, with progress as workers tell it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import type { ReplayWanted } from "../../domain/replay.ts";
import type { Database } from "../../projections/database.ts";
import { onReplayProgress } from "../../runtime/hints.ts";
import { previewReplay, requestReplay } from "../../runtime/replays/replayRequest.ts";
import type { ReplayParts } from "../../runtime/replays/replaySource.ts";
import { listReplays, type ReplayRow, readReplay, wishCancelled } from "../../runtime/replays/replayStore.ts";
import type { ReplaysDesk, ReplayWatcher, ReplayWish, ShownReplay } from "../desks.ts";
import { findWorkspace } from "../findConfigured.ts";
import { findServices, type Reach, type ReachOptions, withDatabase, withLog } from "../reach.ts";
import { hasEnded, noReplay, notStopped, passedOver } from "../replayWords.ts";
import { findSearched, type SearchedIds } from "../searchOptions.ts";

/** Progress is told as it goes; that is how often the truth is looked up, ms. */
const LOOK_EVERY_MS = 500;
const LOOK_FOR_END_EVERY_MS = 100;

/** The desk. */
export async function localReplaysDesk(options: ReachOptions): Promise<ReplaysDesk> {
  const reach = await findServices(options);
  return {
    count: (wish) => withWish(reach, wish, previewReplay),
    start: (wish) =>
      withWish(reach, wish, (parts, asked) =>
        requestReplay(parts, {
          ...asked,
          requestedBy: "egret replay start",
          ratePerSecond: wish.ratePerSecond,
        }),
      ),
    list: ({ workspace, limit }) =>
      withDatabase(reach, async ({ db }) => {
        if (workspace === undefined) return (await listReplays(db, { limit })).map(shown);
        const { id: workspaceId } = await findWorkspace(db, workspace);
        return (await listReplays(db, { limit, workspaceId })).map(shown);
      }),
    watch: (id, show) =>
      withDatabase(reach, ({ db }) =>
        withLog(reach, async (open) => shown(await watch({ db, ...open }, id, show))),
      ),
    cancel: (id, timeoutMs) => withDatabase(reach, async ({ db }) => shown(await cancel(db, id, timeoutMs))),
  };
}

function shown({ cursor: _cursor, taken: _taken, ...row }: ReplayRow): ShownReplay {
  return row;
}

function withWish(
  reach: Reach,
  wish: ReplayWish,
  use: (parts: ReplayParts, asked: { workspaceId: number; wanted: ReplayWanted }) => Promise<number>,
): Promise<number> {
  return withDatabase(reach, ({ db }) =>
    withLog(reach, async (open) => {
      const ids = await findSearched(db, wish);
      const workspace = ids.workspace ?? (await findWorkspace(db, wish.workspace));
      return use({ db, ...open }, { workspaceId: workspace.id, wanted: wantedBy(wish, ids) });
    }),
  );
}

function wantedBy(wish: ReplayWish, { webhookId, syncId }: SearchedIds): ReplayWanted {
  const now = new Date();
  const { state = "dead", event, run, status, since } = wish;
  // What comes from now on is not part of it, or it would not end.
  const until = (wish.until !== undefined && wish.until < now ? wish.until : now).toISOString();
  const begin = since?.toISOString();
  if (wish.isMissed) {
    return { kind: "missed_events", webhook_id: webhookId ?? 0, since: begin ?? until, until };
  }
  return {
    kind: "deliveries",
    states: state === "ended" ? ["delivered", "dead"] : [state],
    until,
    ...(begin === undefined ? {} : { since: begin }),
    ...(webhookId === undefined ? {} : { webhook_id: webhookId }),
    ...(event === undefined ? {} : { event }),
    ...(syncId === undefined ? {} : { sync_id: syncId }),
    ...(run === undefined ? {} : { sync_run_id: run }),
    ...(status === undefined ? {} : { http_status: status }),
  };
}

async function watch(
  { db, connection }: Pick<ReplayParts, "db" | "connection">,
  id: number,
  show: ReplayWatcher,
): Promise<ReplayRow> {
  let row = await mustRead(db, id);
  const stop = onReplayProgress(connection, { workspaceId: row.workspace_id, replayId: id }, show);
  try {
    while (row.state === "requested") {
      show({ ...row, skipped: passedOver(row) });
      await delay(LOOK_EVERY_MS);
      row = await mustRead(db, id);
    }
    return row;
  } finally {
    stop();
  }
}

/** As it ended; it may have come to its end before the wish was seen. */
async function cancel(db: Kysely<Database>, id: number, timeoutMs: number): Promise<ReplayRow> {
  const before = await mustRead(db, id);
  if (before.state !== "requested") throw hasEnded(before);
  await wishCancelled(db, id, "egret replay cancel");
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const now = await mustRead(db, id);
    if (now.state === "cancelled") return now;
    if (now.state !== "requested") throw hasEnded(now);
    if (performance.now() > deadline) throw notStopped(id, timeoutMs);
    await delay(LOOK_FOR_END_EVERY_MS);
  }
}

/** @throws NotFound when there is none of that id. */
async function mustRead(db: Kysely<Database>, id: number): Promise<ReplayRow> {
  const row = await readReplay(db, id);
  if (row === null) throw noReplay(id);
  return row;
}
