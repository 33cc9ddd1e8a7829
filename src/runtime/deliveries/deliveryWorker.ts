/** Moves one delivery as far as it goes now: attempts it when it is due, and writes down what came of it. */
import type { Logger } from "pino";
import { LogCorrupt, VersionConflict } from "../../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../../domain/event.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { ExchangeStore } from "../../projections/exchangeStore.ts";
import { type Actor, hasEnded, replay } from "../actor.ts";
import type { DeliveryMetrics } from "../telemetry/deliveryMetrics.ts";
import { NO_TRACING, type Tracing } from "../telemetry/tracing.ts";
import type { WorkResult } from "../workQueue.ts";
import type { AttemptOutcome, Target } from "./attempt.ts";
import { canonicalLine, draftAttempt, endingOf } from "./attemptEvent.ts";
import { deliveryAggregate, deliveryBehaviour, deliveryContext, type PendingData } from "./deliveryActor.ts";

/** The targets that a delivery can have. */
export type Targets = Record<PendingData["target_kind"], Target>;

/** What the worker needs; `now` is the clock in ms. */
export interface DeliveryWorkerOptions {
  log: EventLog;
  targets: Targets;
  logger: Logger;
  metrics: DeliveryMetrics;
  tracing?: Tracing;
  /** Takes what was said on the wire, beside the way: nobody waits for it. */
  exchanges?: Pick<ExchangeStore, "add"> | undefined;
  now?: () => number;
}

type ActorWithEnds = Actor & { first: AnyEvent; last: AnyEvent };

/** What became of a work item, and how the attempt went that was made for it; null when none was. */
export interface Advance {
  result: WorkResult;
  made: MadeHere | null;
  /** Of a delivery that has ended: resolves once its owner has been told. Null when nobody has to be told. */
  settling: Promise<void> | null;
}

/** An attempt, and what it led to. */
export interface MadeHere {
  outcome: AttemptOutcome;
  state: string;
  /** The event that was appended. */
  event: StoredEvent;
}

/** Works on deliveries one at a time; which ones, and how many at once, is the queues' affair. */
export class DeliveryWorker {
  readonly #log: EventLog;
  readonly #targets: Targets;
  readonly #logger: Logger;
  readonly #metrics: DeliveryMetrics;
  readonly #tracing: Tracing;
  readonly #exchanges: Pick<ExchangeStore, "add"> | undefined;
  readonly #now: () => number;

  constructor({ log, targets, logger, metrics, tracing, exchanges, now }: DeliveryWorkerOptions) {
    this.#metrics = metrics;
    this.#tracing = tracing ?? NO_TRACING;
    this.#exchanges = exchanges;
    this.#log = log;
    this.#targets = targets;
    // The line of an attempt has known fields and no secret: redacting it would cost as much as signing and sending.
    this.#logger = logger.child({}, { redact: { paths: [] } });
    this.#now = now ?? Date.now;
  }

  /** Attempts the delivery with that history if it is due, and appends what came of it. */
  advance(history: readonly StoredEvent[]): Promise<Advance> {
    const [first, last] = [(history[0] as StoredEvent).event, (history.at(-1) as StoredEvent).event];
    const pending = pendingOf(history);
    const aggregate = deliveryAggregate(pending);
    const actor = { ...replay(deliveryBehaviour, aggregate, history), first, last };
    if (hasEnded(actor.snapshot)) return this.#settleAgain(pending, last);
    const dueAt = last.type === "delivery.retrying" ? Date.parse(last.data.due_at) : null;
    const waitMs = dueAt === null ? 0 : dueAt - this.#now();
    // A wake-up is only a hint: after a restart it can come up to a second early (I6).
    if (waitMs > 0) return Promise.resolve(again(waitMs));
    return this.#attempt(pending, actor, dueAt);
  }

  async #settleAgain(pending: PendingData, last: AnyEvent): Promise<Advance> {
    await this.#settle(pending, last, null);
    return { result: { kind: "done" }, made: null, settling: null };
  }

  /** For a work item whose delivery has moved on: an ending is told to its owner again, anything else has an item of its own. */
  async settleIfEnded(history: readonly StoredEvent[]): Promise<WorkResult> {
    const last = (history.at(-1) as StoredEvent).event;
    if (last.type === "delivery.delivered" || last.type === "delivery.dead") {
      await this.#settle(pendingOf(history), last, null);
    }
    return { kind: "done" };
  }

  async #attempt(pending: PendingData, actor: ActorWithEnds, dueAt: number | null): Promise<Advance> {
    const attempt = deliveryContext(actor.snapshot).attempts + 1;
    const done = this.#metrics.begin(pending.target_kind);
    const span = this.#tracing.attempt(actor.first.traceparent, pending, attempt);
    let outcome: AttemptOutcome;
    try {
      outcome = await targetOf(this.#targets, pending.target_kind).attempt(pending, attempt, span);
    } finally {
      done();
    }
    this.#keepExchange(pending, attempt, outcome);
    const draft = draftAttempt(pending, actor, { outcome, attempt, nowMs: this.#now() });
    const { state } = draft;
    draft.traceparent = span.traceparent;
    let stored: StoredEvent;
    try {
      stored = await this.#log.append(actor.aggregate, draft, actor.head);
    } catch (error) {
      if (!(error instanceof VersionConflict)) throw error;
      return again(0);
    }
    span.end({ outcome, state });
    // What went well stands in the log of events: a line for each of thousands a second is for who asks for it.
    const level = outcome.kind === "accepted" ? "debug" : "info";
    if (this.#logger.isLevelEnabled(level))
      this.#logger[level](canonicalLine(pending, { outcome, attempt, state, dueAt }), "delivery.attempted");
    const createdAtMs = Date.parse(actor.first.time);
    this.#metrics.observe({ pending, outcome, attempt, state, dueAtMs: dueAt, createdAtMs });
    const made = { outcome, state, event: stored };
    if (stored.event.type === "delivery.retrying") {
      const delayMs = Date.parse(stored.event.data.due_at) - this.#now();
      return { ...again(delayMs), made };
    }
    const settling = this.#settle(pending, stored.event, outcome) ?? null;
    return { result: { kind: "done" }, made, settling };
  }

  #keepExchange(pending: PendingData, attempt: number, outcome: AttemptOutcome): void {
    if (outcome.kind === "dropped" || outcome.exchange === undefined) return;
    const { target_kind: targetKind, target_id: targetId, delivery_id: deliveryId } = pending;
    const { startedAt, exchange } = outcome;
    this.#exchanges?.add({ targetKind, targetId, deliveryId, attempt, startedAt, exchange });
  }

  #settle(pending: PendingData, last: AnyEvent, outcome: AttemptOutcome | null): Promise<void> | void {
    return targetOf(this.#targets, pending.target_kind).settle(endingOf(pending, last, outcome));
  }
}

/** It is not its time yet. */
function again(delayMs: number): Advance {
  return { result: { kind: "again", delayMs }, made: null, settling: null };
}

/** The target of a kind. Not by a property of that name: a text out of JSON is another string each time, and is looked up slowly. */
export function targetOf(targets: Targets, kind: PendingData["target_kind"]): Target {
  return kind === "webhook" ? targets.webhook : targets.destination;
}

/** What the delivery was asked for last: a redelivery asks again for the same. */
function pendingOf(history: readonly StoredEvent[]): PendingData {
  const asked = history.findLast(({ event }) => event.type === "delivery.pending")?.event;
  if (asked?.type !== "delivery.pending")
    throw new LogCorrupt("a delivery does not begin with delivery.pending");
  return asked.data;
}
