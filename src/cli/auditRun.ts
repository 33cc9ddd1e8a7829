/** Audits one run from the log alone: every event of it and of its deliveries, versions gapless, states replayed. */
import type { Aggregate, RunAggregate } from "../domain/aggregate.ts";
import { aggregateName } from "../domain/aggregate.ts";
import { LogCorrupt } from "../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import { isLifecycleEvent } from "../domain/lifecycle.ts";
import { loadFirst } from "../log/load.ts";
import { type Behaviour, type Fact, replay } from "../runtime/actor.ts";
import { deliveryAggregate, deliveryBehaviour } from "../runtime/deliveries/deliveryActor.ts";
import { lifecycleDeliveryId } from "../runtime/deliveries/notifier.ts";
import { batchDeliveryId } from "../runtime/runs/loading.ts";
import { RunHistory, runBehaviour } from "../runtime/runs/runActor.ts";
import { mustReceive, type Subscriber, subscribersOf } from "./auditSubscribers.ts";
import { count, counted } from "./format.ts";
import type { OpenLog } from "./reach.ts";

/** One delivery with its events. */
export interface AuditedDelivery {
  kind: "batch" | "lifecycle";
  id: string;
  events: StoredEvent[];
  /** It was refused and cut in two: what became of its rows stands in the halves. */
  isCut?: boolean;
}

/** What the log has of a run, and what is wrong with it. */
export interface Audit {
  run: RunAggregate;
  events: StoredEvent[];
  deliveries: AuditedDelivery[];
  /** One sentence each; none when the history is intact. */
  problems: string[];
  /** Deliveries that have not ended, or not begun though they soon will. */
  open: number;
  isEnded: boolean;
  /** The run is older than delivery events are kept: nothing is said of its deliveries. */
  isAged: boolean;
}

const LOADS_AT_ONCE = 16;
/** The notifier may be behind the run by this much before a delivery counts as missing, ms. */
const NOTIFIER_GRACE_MS = 10_000;

/** Reads and checks everything; what is missing or wrong is in `problems`. */
export async function auditRun(open: OpenLog, run: RunAggregate): Promise<Audit> {
  const audit: Audit = {
    run,
    events: [],
    deliveries: [],
    problems: [],
    open: 0,
    isEnded: false,
    isAged: false,
  };
  audit.events = await loadChecked(open, audit, { aggregate: run, behaviour: runBehaviour });
  audit.isEnded = audit.events.some(({ event }) =>
    ["sync.success", "sync.failed", "sync.skipped"].includes(event.type),
  );
  const triggered = audit.events.find(({ event }) => event.type === "sync.triggered")?.event;
  if (triggered === undefined) return audit;
  audit.isAged = Date.parse(triggered.time) < (await oldestKept(open));
  if (audit.isAged) return audit;
  await auditBatches(open, audit);
  await auditLifecycle(open, audit);
  if (audit.isEnded) checkCounters(audit);
  return audit;
}

/** The verdict on one line. */
export function auditVerdict({ events, deliveries, problems, open, isEnded, isAged }: Audit): string {
  const total = events.length + deliveries.reduce((sum, delivery) => sum + delivery.events.length, 0);
  const facts = `${counted(total, "event")}, ${counted(deliveries.length, "delivery", "deliveries")}`;
  if (problems.length > 0) return `not intact: ${facts}, ${counted(problems.length, "problem")}`;
  if (isAged)
    return `intact: ${counted(total, "event")}, gapless; its deliveries are older than the log keeps them`;
  if (!isEnded) return `intact so far: ${facts}, gapless; the run has not ended`;
  if (open > 0)
    return `intact so far: ${facts}, gapless; ${counted(open, "delivery", "deliveries")} still open`;
  return `complete: ${facts}, gapless`;
}

/** A history with its gaps and wrong turns noted; what is there of it when it is not whole. */
async function loadChecked<F extends Fact>(
  { connection, log }: OpenLog,
  audit: Audit,
  { aggregate, behaviour }: { aggregate: Aggregate; behaviour: Behaviour<F> },
): Promise<StoredEvent[]> {
  try {
    const history = await log.load(aggregate);
    if (history.length > 0) replay(behaviour, aggregate, history);
    return history;
  } catch (error) {
    if (!(error instanceof LogCorrupt)) throw error;
    audit.problems.push(error.message);
    const filter = `${log.topology.aggregate(aggregate)}.*`;
    // The number of versions is not to be trusted here: the last event may be one of those that are missing.
    return loadFirst(connection.jsm, log.topology.streamOf(aggregate), { filter, count: 200 });
  }
}

/** Delivery events before this instant may have been dropped by the age limit of their stream, ms since 1970. */
async function oldestKept({ connection }: OpenLog): Promise<number> {
  const { config } = await connection.jsm.streams.info(connection.topology.eventStreams.deliveries);
  return config.max_age > 0 ? Date.now() - config.max_age / 1_000_000 : 0;
}

async function auditBatches(open: OpenLog, audit: Audit): Promise<void> {
  const history = new RunHistory(audit.events);
  const batches = history.data("sync.planned")?.batches ?? 0;
  const destinationId = history.data("sync.checked")?.destination_id;
  if (destinationId === undefined || batches === 0) return;
  const endedWell = history.data("sync.completed")?.status === "ok";
  const ids = Array.from({ length: batches }, (_, index) => batchDeliveryId(audit.run.runId, index + 1));
  const histories = await inTurns(ids, (id) => loadBatch(open, audit, { targetId: destinationId, id }));
  for (const { id, events, isCut = false } of histories.flat()) {
    // A run that failed may have given the rest of its plan up before it became deliveries.
    if (events.length === 0 && endedWell) audit.problems.push(`delivery/${id}, a batch, is not in the log`);
    if (events.length === 0) continue;
    audit.deliveries.push({ kind: "batch", id, events, isCut });
    if (hasEnded(events)) continue;
    // One that was delivered or given up and begun again later is open, but the run did wait for it.
    if (endedWell && endingOf(events) === undefined)
      audit.problems.push(`delivery/${id}, a batch, has not ended though the run has`);
    else audit.open += 1;
  }
}

/** A batch, and behind it the halves into which it was cut when it was refused, and theirs. */
async function loadBatch(
  open: OpenLog,
  audit: Audit,
  { targetId, id }: { targetId: number; id: string },
): Promise<Omit<AuditedDelivery, "kind">[]> {
  const events = await loadDelivery(open, audit, { kind: "destination", targetId, id });
  const [first, ending] = [events[0]?.event, endingOf(events)];
  const mayBeCut =
    ending?.type === "delivery.dead" &&
    ending.data.reason === "refused" &&
    first?.type === "delivery.pending" &&
    first.data.records > 1;
  if (!mayBeCut) return [{ id, events }];
  const [half, other] = await Promise.all(
    ["1", "2"].map((part) => loadBatch(open, audit, { targetId, id: `${id}_${part}` })),
  );
  const halves = [...(half ?? []), ...(other ?? [])];
  // A batch that was refused as a whole has none; of one that was cut in a run that failed, some may be missing.
  const isCutInTwo = halves.some((each) => each.events.length > 0);
  return isCutInTwo ? [{ id, events, isCut: true }, ...halves] : [{ id, events }];
}

async function auditLifecycle(open: OpenLog, audit: Audit): Promise<void> {
  const subscribers = await subscribersOf(open, audit.run.workspaceId);
  const lifecycle = audit.events.map(({ event }) => event).filter(({ type }) => isLifecycleEvent(type));
  const wanted = lifecycle.flatMap((event) => subscribers.map((subscriber) => ({ event, subscriber })));
  const histories = await inTurns(wanted, ({ event, subscriber }) =>
    loadDelivery(open, audit, {
      kind: "webhook",
      targetId: subscriber.id,
      id: lifecycleId(audit, event, subscriber),
    }),
  );
  for (const [index, events] of histories.entries()) {
    const pair = wanted[index];
    if (pair === undefined) continue;
    const { event, subscriber } = pair;
    if (events.length > 0) {
      audit.deliveries.push({ kind: "lifecycle", id: lifecycleId(audit, event, subscriber), events });
      if (!hasEnded(events)) audit.open += 1;
      continue;
    }
    const producedMs = Date.parse(event.time);
    if (!mustReceive(subscriber, event)) continue;
    if (Date.now() - producedMs < NOTIFIER_GRACE_MS) audit.open += 1;
    else
      audit.problems.push(`${event.type} has no delivery for webhook ${subscriber.id} (${subscriber.name})`);
  }
}

function lifecycleId(audit: Audit, event: AnyEvent, subscriber: Subscriber): string {
  return lifecycleDeliveryId({ runId: audit.run.runId, version: event.version, webhookId: subscriber.id });
}

function loadDelivery(
  open: OpenLog,
  audit: Audit,
  { kind, targetId, id }: { kind: "webhook" | "destination"; targetId: number; id: string },
): Promise<StoredEvent[]> {
  const aggregate = deliveryAggregate({
    workspace_id: audit.run.workspaceId,
    target_kind: kind,
    target_id: targetId,
    delivery_id: id,
  });
  return loadChecked(open, audit, { aggregate, behaviour: deliveryBehaviour });
}

function hasEnded(events: readonly StoredEvent[]): boolean {
  return isEnding(events.at(-1)?.event);
}

/** How the delivery ended the first time: what came of a redelivery is no part of its run. */
function endingOf(events: readonly StoredEvent[]): AnyEvent | undefined {
  return events.find(({ event }) => isEnding(event))?.event;
}

function isEnding(event: AnyEvent | undefined): boolean {
  return event?.type === "delivery.delivered" || event?.type === "delivery.dead";
}

/** The rows of the batches must add up to what the run says of itself. */
function checkCounters(audit: Audit): void {
  const completed = audit.events.find(({ event }) => event.type === "sync.completed")?.event;
  if (completed?.type !== "sync.completed" || completed.data.status !== "ok") return;
  const batches = audit.deliveries.filter(({ kind }) => kind === "batch");
  const planned = batches.filter(({ id }) => !id.includes("_"));
  if (planned.length !== (new RunHistory(audit.events).data("sync.planned")?.batches ?? 0)) return;
  const rows = { delivered: 0, dead: 0 };
  for (const { events, isCut = false } of batches) {
    if (isCut) continue;
    const first = events[0]?.event;
    const records = first?.type === "delivery.pending" ? first.data.records : 0;
    const ending = endingOf(events);
    const isDelivered = ending?.type === "delivery.delivered";
    // An answer that speaks of each row may have taken only some.
    const rejected = isDelivered ? (ending.data.records_rejected ?? 0) : records;
    rows.delivered += records - rejected;
    rows.dead += rejected;
  }
  const { records_updated, records_failed } = completed.data;
  compare(audit, { what: "accepted", said: records_updated, found: rows.delivered });
  compare(audit, { what: "rejected", said: records_failed, found: rows.dead });
}

function compare(
  audit: Audit,
  { what, said, found }: { what: string; said: number | null; found: number },
): void {
  if (said === found) return;
  const name = aggregateName(audit.run);
  audit.problems.push(`${name} says ${count(said)} rows ${what}, its batches say ${count(found)}`);
}

/** Does the work for each item, a bounded number at once, and keeps the order. */
async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += LOADS_AT_ONCE) {
    results.push(...(await Promise.all(items.slice(start, start + LOADS_AT_ONCE).map(work))));
  }
  return results;
}
