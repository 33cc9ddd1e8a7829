/** Replays over the API, where each is for one webhook. */
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, type Client, each, type Schemas } from "../../client/client.ts";
import { InvalidInput } from "../../domain/errors.ts";
import type { ReplaysDesk, ReplayWish, ShownReplay } from "../desks.ts";
import { hasEnded, noReplay, notStopped, passedOver } from "../replayWords.ts";
import { findSync, findWebhook, firstOf } from "./findNamed.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace, orNull } from "./openRemote.ts";

/** Far enough apart for the rate limit of a token, ms. */
const LOOK_EVERY_MS = 500;

/** The desk. */
export function remoteReplaysDesk(client: Client): ReplaysDesk {
  const workspaceId = async () => (await client.getOwnWorkspace()).data.id;
  return {
    count: async (wish) => {
      const { data } = await request(client, wish, true);
      if ("would_replay" in data) return data.would_replay;
      throw new TypeError("the server began a replay and was asked how much it would do");
    },
    start: async (wish) => {
      const { data } = await request(client, wish, false);
      if ("id" in data) return data.id;
      throw new TypeError("the server counted for a replay and was asked to begin it");
    },
    list: async ({ workspace, limit }) => {
      await checkWorkspace(client, workspace);
      const query = { per_page: Math.min(limit, 100) };
      const found = await firstOf(each(client.listReplays, { query }), limit);
      const own = await workspaceId();
      return found.map((replay) => shown(replay, own));
    },
    watch: async (id, show) => {
      const own = await workspaceId();
      for (;;) {
        const replay = await read(client, id);
        const row = shown(replay, own);
        if (row.state !== "requested") return row;
        show({ ...row, skipped: passedOver(row) });
        await delay(LOOK_EVERY_MS);
      }
    },
    cancel: async (id, timeoutMs) => shown(await cancel(client, id, timeoutMs), await workspaceId()),
  };
}

async function request(client: Client, wish: ReplayWish, isCounted: boolean) {
  const { webhook, sync, workspace, event, run, status, since, until } = wish;
  if (webhook === undefined) {
    throw new InvalidInput(
      "through the API a replay is for one webhook: name it with --webhook, or run this on the server",
    );
  }
  const { id } = await findWebhook(client, { name: webhook, workspace });
  const syncId = sync === undefined ? undefined : (await findSync(client, { name: sync, workspace })).id;
  const body = {
    kind: wish.isMissed ? "missed_events" : "deliveries",
    state: wish.state,
    event,
    sync_id: syncId,
    sync_run_id: run,
    http_status: status,
    since: since?.toISOString(),
    until: until?.toISOString(),
    rate_per_second: wish.ratePerSecond,
    validate_only: isCounted,
  } as const;
  return client.createWebhookReplay({ path: { id }, body });
}

/** @throws NotFound when the server has no such replay. */
async function read(client: Client, id: number): Promise<Schemas["Replay"]> {
  const answer = await orNull(client.getReplay({ path: { id } }));
  if (answer === null) throw noReplay(id);
  return answer.data;
}

/** As it ended; it may have come to its end before the wish was seen. */
async function cancel(client: Client, id: number, timeoutMs: number): Promise<Schemas["Replay"]> {
  const deadline = performance.now() + timeoutMs;
  let replay = await wishCancelled(client, id);
  for (;;) {
    if (replay.state === "cancelled") return replay;
    if (isEnded(replay.state)) throw hasEnded({ id, state: replay.state });
    if (performance.now() > deadline) throw notStopped(id, timeoutMs);
    await delay(LOOK_EVERY_MS);
    replay = await read(client, id);
  }
}

async function wishCancelled(client: Client, id: number): Promise<Schemas["Replay"]> {
  try {
    const answer = await orNull(client.cancelReplay({ path: { id } }));
    if (answer === null) throw noReplay(id);
    return answer.data;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
    const { state } = await read(client, id);
    throw isEnded(state) ? hasEnded({ id, state }) : error;
  }
}

type Ended = Exclude<ShownReplay["state"], "requested">;

function isEnded(state: Schemas["Replay"]["state"]): state is Ended {
  return state !== "requested" && state !== "cancelling";
}

/** A replay in the form of commands. */
function shown(replay: Schemas["Replay"], workspaceId: number): ShownReplay {
  const { state, kind, webhook_id: webhookId, filter } = replay;
  const wanted = { kind, ...(webhookId === null ? {} : { webhook_id: webhookId }), ...filter };
  return {
    id: replay.id,
    workspace_id: workspaceId,
    requested_by: replay.requested_by,
    rate_per_second: replay.rate_per_second,
    wanted: asKept(wanted),
    state: isEnded(state) ? state : "requested",
    total: replay.total,
    replayed: replay.replayed,
    skipped: replay.skipped,
    cancelled_by: replay.cancelled_by,
    error: replay.error,
    requested_at: new Date(replay.requested_at),
    updated_at: new Date(replay.updated_at),
    ended_at: dateOrNull(replay.ended_at),
  };
}

/** Its fields in the order in which Postgres keeps those of a jsonb: that is how the services show it. */
function asKept<T extends object>(wanted: T): T {
  const fields = Object.entries(wanted).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  return Object.fromEntries(fields) as T;
}
