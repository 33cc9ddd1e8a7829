/** Takes deliveries from the log and attempts them until each is delivered or dead. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { DELIVERY_MACHINE, type DeliveryFact } from "../../machines/delivery.ts";
import { LogCorrupt, VersionConflict } from "../domain/errors.ts";
import type { AnyEvent, EventData, StoredEvent } from "../domain/event.ts";
import { decodeEvent } from "../log/codec.ts";
import type { LogConnection } from "../log/connection.ts";
import type { EventDraft, EventLog } from "../log/eventLog.ts";
import { CONSUMERS } from "../log/topology.ts";
import { type Actor, decide, hasEnded, record, replay } from "./actor.ts";
import type { AttemptOutcome, Ending, Target } from "./attempt.ts";
import { deliveryAggregate, deliveryBehaviour, deliveryContext, type PendingData } from "./deliveryActor.ts";
import { TargetGates } from "./targetGate.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "./workQueue.ts";

/** What the worker needs; `now` is the clock in ms. */
export interface DeliveryWorkerOptions {
  connection: LogConnection;
  log: EventLog;
  targets: Record<PendingData["target_kind"], Target>;
  concurrency: number;
  logger: Logger;
  now?: () => number;
}

/** A delivery beyond its target's bound comes back after this long, ms. */
const PARK_MS = 250;

/** Starts a delivery worker; several may share the work. */
export function startDeliveryWorker(options: DeliveryWorkerOptions): WorkQueue {
  const worker = new DeliveryWorker(options);
  return startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.eventStreams.deliveries,
    consumer: CONSUMERS.deliveries,
    concurrency: options.concurrency,
    logger: options.logger,
    handle: (message) => worker.handle(message),
  });
}

type Ended = Actor & { last: AnyEvent };

/** Moves one delivery as far as it goes now; exported so that tests can drive it without a queue. */
export class DeliveryWorker {
  readonly #log: EventLog;
  readonly #targets: DeliveryWorkerOptions["targets"];
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #gates = new TargetGates();

  constructor({ log, targets, logger, now }: Omit<DeliveryWorkerOptions, "connection" | "concurrency">) {
    this.#log = log;
    this.#targets = targets;
    this.#logger = logger;
    this.#now = now ?? Date.now;
  }

  async handle(message: JsMsg): Promise<WorkResult> {
    const event = decodeEvent(message.data, message.subject);
    if (event.type !== "delivery.pending") throw new LogCorrupt(`${event.type} is not a work item`);
    const first = { event, sequence: message.seq };
    // On its first way out the message is all there is of the delivery; later there may be more.
    return this.advance(event.data, message.info.deliveryCount === 1 ? [first] : null);
  }

  /** Attempts the delivery if it is due. `history` is given when it is known to be whole. */
  async advance(pending: PendingData, history: StoredEvent[] | null): Promise<WorkResult> {
    const target = this.#targets[pending.target_kind];
    const gate = { key: `${pending.target_kind}:${pending.target_id}`, slots: await target.slots(pending) };
    // Asked before the log is: parking must cost next to nothing, or a dead target's backlog would cost a lot.
    if (this.#gates.isFull(gate.key, gate.slots)) return { kind: "again", delayMs: PARK_MS };
    const aggregate = deliveryAggregate(pending);
    const known = history ?? (await this.#log.load(aggregate));
    const actor = {
      ...replay(deliveryBehaviour, aggregate, known),
      last: (known.at(-1) as StoredEvent).event,
    };
    if (hasEnded(actor.snapshot)) {
      await this.#settle(pending, actor, null);
      return { kind: "done" };
    }
    const dueAt = actor.last.type === "delivery.retrying" ? Date.parse(actor.last.data.due_at) : null;
    // A wake-up is only a hint: after a restart it can come up to a second early (I6).
    if (dueAt !== null && this.#now() < dueAt) return { kind: "again", delayMs: dueAt - this.#now() };
    const release = await this.#gates.enter(gate.key, gate.slots);
    if (release === null) return { kind: "again", delayMs: PARK_MS };
    try {
      return await this.#attempt(pending, actor, { target, dueAt });
    } catch (error) {
      if (error instanceof VersionConflict) return { kind: "again", delayMs: 0 };
      throw error;
    } finally {
      release();
    }
  }

  async #attempt(
    pending: PendingData,
    actor: Ended,
    { target, dueAt }: { target: Target; dueAt: number | null },
  ): Promise<WorkResult> {
    const attempt = deliveryContext(actor.snapshot).attempts + 1;
    const outcome = await target.attempt(pending, attempt);
    const { draft, decision } = this.#draft(pending, actor, { outcome, attempt });
    const next = await record(this.#log, actor, { decision, draft });
    this.#logger.info(
      canonicalLine(pending, { outcome, attempt, state: decision.state, dueAt }),
      "delivery.attempted",
    );
    if (next.event.type === "delivery.retrying") {
      return { kind: "again", delayMs: Date.parse(next.event.data.due_at) - this.#now() };
    }
    await this.#settle(pending, { ...next, last: next.event }, outcome);
    return { kind: "done" };
  }

  #draft(
    pending: PendingData,
    actor: Actor,
    { outcome, attempt }: { outcome: AttemptOutcome; attempt: number },
  ): { draft: Omit<EventDraft, "state">; decision: ReturnType<typeof decide> } {
    const fact = factOf(outcome, attempt);
    const decision = decide(actor.snapshot, fact);
    const ids = {
      workspace_id: pending.workspace_id,
      target_kind: pending.target_kind,
      target_id: pending.target_id,
      delivery_id: pending.delivery_id,
      sync_id: pending.sync_id,
      sync_run_id: pending.sync_run_id,
    };
    const request = requestFacts(outcome, attempt);
    const draft = (type: EventDraft["type"], data: EventDraft["data"]) => ({
      decision,
      draft: { type, machine: DELIVERY_MACHINE, data } as Omit<EventDraft, "state">,
    });
    if (request !== null && decision.state === "delivered") {
      return draft("delivery.delivered", { ...ids, fact: "attempt.accepted", ...request });
    }
    if (request !== null && decision.state === "retrying") {
      const delayMs = decision.delayMs ?? 0;
      // The wait runs from the end of the failed attempt (behaviour.md 6.7).
      const dueAt = new Date(this.#now() + delayMs).toISOString();
      return draft("delivery.retrying", {
        ...ids,
        fact: "attempt.failed",
        ...request,
        delay_ms: delayMs,
        due_at: dueAt,
      });
    }
    const reason = deliveryContext(decision.snapshot).deathReason ?? "exhausted";
    const data: EventData<"delivery.dead"> = {
      ...ids,
      fact: fact.type as EventData<"delivery.dead">["fact"],
      reason,
      ...(request ?? { attempt: null, started_at: null, duration_ms: null, http_status: null, error: null }),
    };
    return draft("delivery.dead", data);
  }

  async #settle(pending: PendingData, actor: Ended, outcome: AttemptOutcome | null): Promise<void> {
    await this.#targets[pending.target_kind].settle(endingOf(pending, actor.last, outcome));
  }
}

function factOf(outcome: AttemptOutcome, attempt: number): DeliveryFact {
  switch (outcome.kind) {
    case "accepted":
      return { type: "attempt.accepted", attempt };
    case "refused":
      return { type: "attempt.refused", attempt };
    case "failed":
      return { type: "attempt.failed", attempt, delayMs: outcome.delayMs };
    case "dropped":
      return { type: "delivery.dropped", reason: outcome.reason };
  }
}

/** The request as the event tells it; null when none was made. */
function requestFacts(outcome: AttemptOutcome, attempt: number) {
  if (outcome.kind === "dropped") return null;
  return {
    attempt,
    started_at: outcome.startedAt.toISOString(),
    duration_ms: Math.round(outcome.durationMs * 1000) / 1000,
    http_status: outcome.httpStatus,
    error: outcome.kind === "accepted" ? null : outcome.error,
  };
}

/** One line per attempt with everything that an operator asks for. */
function canonicalLine(
  pending: PendingData,
  made: { outcome: AttemptOutcome; attempt: number; state: string; dueAt: number | null },
): object {
  const { outcome, attempt, state, dueAt } = made;
  return {
    delivery: pending.delivery_id,
    target: `${pending.target_kind}/${pending.target_id}`,
    run: pending.sync_run_id,
    event: pending.event,
    records: pending.records,
    outcome: outcome.kind,
    state,
    lateness_ms: dueAt === null || outcome.kind === "dropped" ? null : outcome.startedAt.getTime() - dueAt,
    ...(requestFacts(outcome, attempt) ?? {
      attempt,
      reason: outcome.kind === "dropped" ? outcome.reason : null,
    }),
  };
}

/** The ending as the last event tells it, so that a settle repeated after a crash says the same. */
function endingOf(pending: PendingData, last: AnyEvent, outcome: AttemptOutcome | null): Ending {
  if (last.type === "delivery.delivered") return { pending, outcome: "accepted", statusMessage: null };
  if (last.type !== "delivery.dead") throw new LogCorrupt(`delivery ${pending.delivery_id} has not ended`);
  const { reason, http_status, error } = last.data;
  const statusMessage = (outcome?.kind === "refused" ? outcome.statusMessage : null) ?? error ?? reason;
  if (reason === "refused") return { pending, outcome: "rejected", statusMessage };
  // 429 to the end rejects the rows; anything else to the end means that the target is not there (12.2).
  if (reason === "exhausted")
    return { pending, outcome: http_status === 429 ? "rejected" : "unavailable", statusMessage };
  return { pending, outcome: "dropped", statusMessage };
}
