/** Asks for a replay, says beforehand how much it would do, and asks for one to be cancelled. */
import { sql } from "kysely";
import { REPLAY_MACHINE } from "../../../machines/replay.ts";
import { InvalidInput, NotFound } from "../../domain/errors.ts";
import type { EventData } from "../../domain/event.ts";
import type { ReplayWanted } from "../../domain/replay.ts";
import { NEW_AGGREGATE } from "../../log/eventLog.ts";
import { begin } from "../actor.ts";
import { readSubscriber } from "../deliveries/redeliveryDesk.ts";
import { replayAggregate, replayBehaviour } from "./replayActor.ts";
import { type ReplayParts, replaySource } from "./replaySource.ts";
import { ensureReplay } from "./replayStore.ts";

/** A replay that is asked for. */
export interface ReplayRequest {
  workspaceId: number;
  wanted: ReplayWanted;
  requestedBy: string;
  ratePerSecond: number;
}

/**
 * How many deliveries a replay would begin again now.
 * @throws InvalidInput or NotFound when it cannot be done.
 */
export async function previewReplay(
  parts: ReplayParts,
  { workspaceId, wanted }: Pick<ReplayRequest, "workspaceId" | "wanted">,
): Promise<number> {
  await checkReplay(parts, wanted);
  return replaySource(parts, workspaceId, wanted).count();
}

/**
 * Appends `replay.requested`, which is the work item itself, and returns the replay's id.
 * @throws InvalidInput or NotFound when it cannot be done; nothing was asked for then.
 */
export async function requestReplay(parts: ReplayParts, request: ReplayRequest): Promise<number> {
  const { db, log } = parts;
  const { workspaceId, wanted, requestedBy, ratePerSecond } = request;
  await checkReplay(parts, wanted);
  const { rows } = await sql<{ id: number }>`select nextval('egret.replay_ids') as id`.execute(db);
  const data: EventData<"replay.requested"> = {
    workspace_id: workspaceId,
    replay_id: rows[0]?.id ?? 0,
    requested_by: requestedBy,
    rate_per_second: ratePerSecond,
    wanted,
  };
  const { state } = begin(replayBehaviour, undefined);
  const draft = { type: "replay.requested", machine: REPLAY_MACHINE, state, data } as const;
  const { event } = await log.append(replayAggregate(data), draft, NEW_AGGREGATE);
  // For lists, before a worker takes it; the worker does the same, so nothing is lost if this is not reached.
  await ensureReplay(db, data, new Date(event.time));
  return data.replay_id;
}

async function checkReplay(parts: ReplayParts, wanted: ReplayWanted): Promise<void> {
  if (wanted.since !== undefined && wanted.since >= wanted.until) {
    throw new InvalidInput(`the time range is empty: it begins ${wanted.since} and ends ${wanted.until}`);
  }
  if (wanted.kind === "deliveries") return;
  const webhook = await readSubscriber(parts.db, wanted.webhook_id);
  if (webhook === null) throw new NotFound(`there is no webhook ${wanted.webhook_id}`);
  if (!webhook.enabled) {
    throw new InvalidInput(`webhook ${wanted.webhook_id} is disabled: enable it first, then replay`);
  }
  // What was delivered longer ago is forgotten, and would seem missed.
  const { jsm, topology } = parts.connection;
  const { config } = await jsm.streams.info(topology.eventStreams.deliveries);
  const keptSince = config.max_age > 0 ? new Date(Date.now() - config.max_age / 1_000_000) : new Date(0);
  if (new Date(wanted.since) < keptSince) {
    throw new InvalidInput(
      `delivery events are kept since ${keptSince.toISOString()} only: what was missed before cannot be told ` +
        "from what was delivered; begin the range later",
    );
  }
}
