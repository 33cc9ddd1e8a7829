/** Where a replay finds what it is to deliver again, page by page, and how it begins one of them. */
import type { Kysely } from "kysely";
import { LogCorrupt } from "../../domain/errors.ts";
import type { StoredEvent } from "../../domain/event.ts";
import type { MissedEvents, ReplayedDeliveries, ReplayWanted, SkipReason } from "../../domain/replay.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { loadPage } from "../../log/load.ts";
import type { Database, ReplayCursor, ReplayItem } from "../../projections/database.ts";
import { countDeliveries, type DeliveryFilter, searchDeliveries } from "../../projections/deliverySearch.ts";
import { deliveryAggregate } from "../deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../deliveries/deliveryIntake.ts";
import {
  isRunLifecycleEvent,
  lifecycleDelivery,
  lifecycleName,
  type RunLifecycleEvent,
} from "../deliveries/notifier.ts";
import { type AskedBy, isBegunBy, redeliver } from "../deliveries/redeliver.ts";
import { readSubscriber, redeliveryDesk, type SubscriberState } from "../deliveries/redeliveryDesk.ts";

/** A page of a replay; `cursor` is null at the end. */
export interface ReplayPage {
  items: ReplayItem[];
  cursor: ReplayCursor | null;
}

/** What a replay works through. */
export interface ReplaySource {
  /** How many there are now. */
  count(): Promise<number>;
  page(after: ReplayCursor | null, limit: number): Promise<ReplayPage>;
  /** Begins one again; twice is as good as once for the same replay. */
  begin(item: ReplayItem, asked: AskedBy): Promise<"replayed" | SkipReason>;
}

/** What replays work with. */
export interface ReplayParts {
  db: Kysely<Database>;
  connection: LogConnection;
  log: EventLog;
}

/** The source of what is wanted in a workspace. */
export function replaySource(parts: ReplayParts, workspaceId: number, wanted: ReplayWanted): ReplaySource {
  return wanted.kind === "deliveries"
    ? deliveries(parts, workspaceId, wanted)
    : missedEvents(parts, workspaceId, wanted);
}

function filterOf(workspaceId: number, wanted: ReplayedDeliveries): DeliveryFilter {
  return {
    workspaceId,
    targetKind: "webhook",
    states: wanted.states,
    targetId: wanted.webhook_id,
    event: wanted.event,
    syncId: wanted.sync_id,
    runId: wanted.sync_run_id,
    httpStatus: wanted.http_status,
    since: wanted.since === undefined ? undefined : new Date(wanted.since),
    until: new Date(wanted.until),
  };
}

function deliveries(parts: ReplayParts, workspaceId: number, wanted: ReplayedDeliveries): ReplaySource {
  const { db, log } = parts;
  const filter = filterOf(workspaceId, wanted);
  const desk = redeliveryDesk(db);
  return {
    count: () => countDeliveries(db, filter),
    async page(after, limit) {
      const place =
        after !== null && "id" in after
          ? { created_at: new Date(after.created_at), id: after.id }
          : undefined;
      const rows = await searchDeliveries(db, { ...filter, after: place, oldestFirst: true, limit });
      const last = rows.at(-1);
      return {
        items: rows.map(({ target_id, id }) => ({ target_id, id })),
        cursor: last === undefined ? null : { created_at: last.created_at.toISOString(), id: last.id },
      };
    },
    async begin(item, asked) {
      if (!("id" in item)) throw new LogCorrupt("a replay of deliveries holds an event");
      const aggregate = deliveryAggregate({
        workspace_id: workspaceId,
        target_kind: "webhook",
        target_id: item.target_id,
        delivery_id: item.id,
      });
      const { kind } = await redeliver({ log, desk }, aggregate, asked);
      if (kind === "redelivered" || kind === "already") return "replayed";
      return kind === "not_found" ? "not_kept" : kind;
    },
  };
}

/** Clocks of writers differ: events up to this much out of order are still looked at, ms. */
const CLOCK_SLACK_MS = 60_000;
const COUNT_PAGE = 500;
/** Looked up at once. */
const LOOKUPS = 32;

function missedEvents(parts: ReplayParts, workspaceId: number, wanted: MissedEvents): ReplaySource {
  const { db, connection, log } = parts;
  const { jsm, topology } = connection;
  const intake = new DeliveryIntake(log);
  const stream = topology.eventStreams.runs;
  // Runs and alerts: a page takes one filter alone, and of anything else there is little.
  const filter = topology.events(`${workspaceId}.>`);
  const [sinceMs, untilMs] = [Date.parse(wanted.since), Date.parse(wanted.until)];

  const aggregateOf = (event: RunLifecycleEvent) =>
    deliveryAggregate(lifecycleDelivery(event, wanted.webhook_id));

  async function scan(after: ReplayCursor | null, limit: number) {
    const webhook = await readSubscriber(db, wanted.webhook_id);
    const from =
      after !== null && "sequence" in after ? after.sequence + 1 : new Date(sinceMs - CLOCK_SLACK_MS);
    const events = await loadPage(jsm, stream, { filter, from, count: limit });
    const fitting = events.filter(({ event }) => {
      const atMs = Date.parse(event.time);
      return atMs >= sinceMs && atMs < untilMs && webhook !== null && isFor(webhook, event);
    });
    const items: ReplayItem[] = [];
    for (let start = 0; start < fitting.length; start += LOOKUPS) {
      const some = fitting.slice(start, start + LOOKUPS);
      const known = await Promise.all(
        some.map(({ event }) => log.last(aggregateOf(event as RunLifecycleEvent))),
      );
      for (const [index, { sequence }] of some.entries()) if (known[index] === null) items.push({ sequence });
    }
    const last = events.at(-1);
    const isOver = last === undefined || Date.parse(last.event.time) > untilMs + CLOCK_SLACK_MS;
    // The last page still has its items: only one without any events, or beyond the end, ends the replay.
    const cursor = last === undefined || (isOver && items.length === 0) ? null : { sequence: last.sequence };
    return { items, cursor };
  }

  return {
    async count() {
      let total = 0;
      let cursor: ReplayCursor | null = null;
      do {
        const page: ReplayPage = await scan(cursor, COUNT_PAGE);
        total += page.items.length;
        ({ cursor } = page);
      } while (cursor !== null);
      return total;
    },
    page: scan,
    async begin(item, asked) {
      if (!("sequence" in item)) throw new LogCorrupt("a replay of missed events holds a delivery");
      const webhook = await readSubscriber(db, wanted.webhook_id);
      if (webhook === null) return "target_deleted";
      if (!webhook.enabled) return "target_disabled";
      const event = await eventAt(connection, item.sequence);
      if (event === null || !isRunLifecycleEvent(event)) return "not_kept";
      const redelivery = { by: asked.by, job_id: asked.replayId };
      const data = { ...lifecycleDelivery(event, wanted.webhook_id), redelivery };
      if ((await intake.create(data)) !== null) return "replayed";
      const history: StoredEvent[] = await log.load(aggregateOf(event));
      return asked.replayId !== null && isBegunBy(history, asked.replayId) ? "replayed" : "exists";
    },
  };
}

/** What the notifier asks too, but for being enabled at that time: subscribed, and there before the event. */
function isFor(webhook: SubscriberState, event: StoredEvent["event"]): boolean {
  return (
    isRunLifecycleEvent(event) &&
    webhook.events.includes(lifecycleName(event)) &&
    webhook.createdAt.getTime() < Date.parse(event.time)
  );
}

async function eventAt({ jsm, topology }: LogConnection, sequence: number) {
  const stream = topology.eventStreams.runs;
  const message = await jsm.direct.getMessage(stream, { seq: sequence });
  return message === null ? null : decodeEvent(message.data, `${stream} #${sequence}`);
}
