/** What an attempt writes down: the event that follows from its outcome, and the one log line about it. */
import { DELIVERY_MACHINE, type DeliveryFact } from "../../../machines/delivery.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, EventData } from "../../domain/event.ts";
import type { EventDraft } from "../../log/eventLog.ts";
import { type Actor, decide } from "../actor.ts";
import type { AttemptOutcome, Ending } from "./attempt.ts";
import { deliveryContext, type PendingData } from "./deliveryActor.ts";

/** An outcome with the number of its attempt, and the clock's time when it was known, ms. */
export interface MadeAttempt {
  outcome: AttemptOutcome;
  attempt: number;
  nowMs: number;
}

/** The event of the transition that an outcome leads to. */
export function draftAttempt(
  pending: PendingData,
  actor: Actor,
  { outcome, attempt, nowMs }: MadeAttempt,
): EventDraft {
  const { fact, decision } = decideOn(actor, outcome, attempt);
  const ids = {
    workspace_id: pending.workspace_id,
    target_kind: pending.target_kind,
    target_id: pending.target_id,
    delivery_id: pending.delivery_id,
    sync_id: pending.sync_id,
    sync_run_id: pending.sync_run_id,
  };
  const request = requestFacts(outcome, attempt);
  const draft = (type: EventDraft["type"], data: EventDraft["data"]): EventDraft => ({
    type,
    machine: DELIVERY_MACHINE,
    state: decision.state,
    data,
    id: undefined,
    time: undefined,
    traceparent: undefined,
  });
  if (request !== null && decision.state === "delivered") {
    const rejected = outcome.kind === "accepted" ? outcome.rejectedRecords : undefined;
    const rows = rejected === undefined ? {} : { records_rejected: rejected };
    return draft("delivery.delivered", { ...ids, fact: "attempt.accepted", ...request, ...rows });
  }
  if (request !== null && decision.state === "retrying") {
    const delayMs = decision.delayMs ?? 0;
    // The wait runs from the end of the failed attempt (behaviour.md 6.7).
    const dueAt = new Date(nowMs + delayMs).toISOString();
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

/** A wait that the target asked for replaces the schedule's where it is longer. */
function decideOn(actor: Actor, outcome: AttemptOutcome, attempt: number) {
  const fact = factOf(outcome, attempt);
  const decision = decide(actor.snapshot, fact);
  const asked = outcome.kind === "failed" ? (outcome.atLeastMs ?? 0) : 0;
  if (fact.type !== "attempt.failed" || decision.delayMs === null || asked <= decision.delayMs)
    return { fact, decision };
  const longer = { ...fact, delayMs: asked };
  return { fact: longer, decision: decide(actor.snapshot, longer) };
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
export function canonicalLine(
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
export function endingOf(pending: PendingData, last: AnyEvent, outcome: AttemptOutcome | null): Ending {
  if (last.type === "delivery.delivered") {
    return { pending, outcome: "accepted", httpStatus: last.data.http_status, statusMessage: null };
  }
  if (last.type !== "delivery.dead") throw new LogCorrupt(`delivery ${pending.delivery_id} has not ended`);
  const { reason, http_status, error } = last.data;
  const statusMessage = (outcome?.kind === "refused" ? outcome.statusMessage : null) ?? error ?? reason;
  const ended = { pending, httpStatus: http_status, statusMessage };
  if (reason === "refused") return { ...ended, outcome: "rejected" };
  // 429 to the end rejects the rows; anything else to the end means that the target is not there (12.2).
  if (reason === "exhausted") return { ...ended, outcome: http_status === 429 ? "rejected" : "unavailable" };
  return { ...ended, outcome: "dropped" };
}
