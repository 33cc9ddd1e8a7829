/** What deliveries show of themselves as Prometheus metrics; names and labels are documented in docs/metrics.md. */
import type { Registry } from "prom-client";
import type { AttemptOutcome } from "../deliveries/attempt.ts";
import type { PendingData } from "../deliveries/deliveryActor.ts";
import { type Distribution, Distributions, Tallies, type Tally } from "./hotMetrics.ts";

type TargetKind = PendingData["target_kind"];

/** One attempt as it is counted. */
export interface ObservedAttempt {
  pending: PendingData;
  outcome: AttemptOutcome;
  attempt: number;
  /** State after it: retrying, delivered or dead. */
  state: string;
  /** When it was due, ms; null for a first attempt. */
  dueAtMs: number | null;
  /** When the delivery was created, ms. */
  createdAtMs: number;
}

const LATENESS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60];
const DURATION_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** The schedule of lifecycle webhooks takes 124 s, and 184 s when each attempt runs into its time-out. */
const ACCEPTANCE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 30, 70, 130, 200];

/** All that is counted for one kind of target. */
interface Counted {
  attempts: Record<AttemptOutcome["kind"], Tally>;
  ended: Record<"delivered" | "dead", Tally>;
  inFlight: Tally;
  early: Tally;
  duration: Distribution;
  lateness: Distribution;
  firstAttempt: Distribution;
  acceptance: Distribution;
  /** Made once, since it is handed out with every attempt. */
  done(): void;
}

/** Counts attempts and measures how late they were (I6). Labels are few and bounded: no ids of rows, runs or targets. */
export class DeliveryMetrics {
  readonly #webhook: Counted;
  readonly #destination: Counted;

  constructor(registry: Registry) {
    const counted = families(registry);
    this.#webhook = counted("webhook");
    this.#destination = counted("destination");
  }

  /** Counts a request as under way until the returned function is called, once. */
  begin(target: TargetKind): () => void {
    const counted = this.#of(target);
    counted.inFlight.value++;
    return counted.done;
  }

  /** Not by a property of that name: a text out of JSON is another string each time, for which V8 compiles this anew. */
  #of(target: TargetKind): Counted {
    return target === "webhook" ? this.#webhook : this.#destination;
  }

  observe({ pending, outcome, attempt, state, dueAtMs, createdAtMs }: ObservedAttempt): void {
    const counted = this.#of(pending.target_kind);
    counted.attempts[outcome.kind].value++;
    if (state === "delivered" || state === "dead") counted.ended[state].value++;
    if (outcome.kind === "dropped") return;
    counted.duration.observe(outcome.durationMs / 1000);
    const startedAtMs = outcome.startedAt.getTime();
    if (dueAtMs !== null) {
      counted.lateness.observe((startedAtMs - dueAtMs) / 1000);
      if (startedAtMs < dueAtMs) counted.early.value++;
    }
    // What a person asked for again, long after the event, says nothing of how quick we are.
    if (pending.redelivery !== undefined) return;
    const delayMs = startedAtMs - eventTimeMs(pending, createdAtMs);
    // Between two machines the clocks may differ: a delay below zero is none.
    if (attempt === 1) counted.firstAttempt.observe(Math.max(0, delayMs) / 1000);
    if (outcome.kind === "accepted")
      counted.acceptance.observe(Math.max(0, delayMs + outcome.durationMs) / 1000);
  }
}

/** When what is delivered came about: a lifecycle event's id holds its time (uuid v7), a batch begins with its delivery. */
function eventTimeMs({ event_id: id }: PendingData, createdAtMs: number): number {
  if (id === null || id.length !== 36 || id[14] !== "7") return createdAtMs;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** Registers all metrics, and returns what makes the cells of one kind of target. */
function families(registry: Registry): (target: TargetKind) => Counted {
  const { attempts, ended, flying, early } = countedFamilies(registry);
  const { duration, lateness, firstAttempt, acceptance } = timedFamilies(registry);
  return (target) => {
    const attempt = (outcome: AttemptOutcome["kind"]) => attempts.of({ target, outcome });
    const inFlight = flying.of({ target });
    return {
      attempts: {
        accepted: attempt("accepted"),
        refused: attempt("refused"),
        failed: attempt("failed"),
        dropped: attempt("dropped"),
      },
      ended: {
        delivered: ended.of({ target, state: "delivered" }),
        dead: ended.of({ target, state: "dead" }),
      },
      inFlight,
      early: early.of({ target }),
      duration: duration.of({ target }),
      lateness: lateness.of({ target }),
      firstAttempt: firstAttempt.of({ target }),
      acceptance: acceptance.of({ target }),
      done: () => void inFlight.value--,
    };
  };
}

function countedFamilies(registry: Registry) {
  const tallies = (type: "counter" | "gauge", name: string, help: string) =>
    new Tallies(type, { name: `egret_${name}`, help, registry });
  return {
    attempts: tallies(
      "counter",
      "delivery_attempts_total",
      "Requests made, by outcome (accepted, refused, failed; dropped: none was made).",
    ),
    ended: tallies("counter", "deliveries_ended_total", "Deliveries that ended, as delivered or dead."),
    flying: tallies("gauge", "delivery_attempts_in_flight", "Requests under way."),
    early: tallies(
      "counter",
      "delivery_retries_early_total",
      "Retries that began before they were due; stays 0.",
    ),
  };
}

function timedFamilies(registry: Registry) {
  const distributions = (name: string, help: string, bounds: readonly number[]) =>
    new Distributions({ name: `egret_${name}_seconds`, help, registry, bounds });
  return {
    duration: distributions(
      "delivery_attempt_duration",
      "From the start of a request to its status line, or to giving up.",
      DURATION_SECONDS,
    ),
    lateness: distributions(
      "delivery_retry_lateness",
      "How long after its due time a retry started; never negative.",
      LATENESS_SECONDS,
    ),
    firstAttempt: distributions(
      "delivery_first_attempt_delay",
      "From the event to the start of the first request; redeliveries left out.",
      LATENESS_SECONDS,
    ),
    acceptance: distributions(
      "delivery_acceptance_delay",
      "From the event to the answer that accepted it, retries included; redeliveries left out.",
      ACCEPTANCE_SECONDS,
    ),
  };
}
