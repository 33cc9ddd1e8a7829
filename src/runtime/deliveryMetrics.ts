/** What deliveries show of themselves as Prometheus metrics; names and labels are documented in docs/metrics.md. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { AttemptOutcome } from "./attempt.ts";
import type { PendingData } from "./deliveryActor.ts";

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

/** Counts attempts and measures how late they were (I6). Labels are few and bounded: no ids of rows, runs or targets. */
export class DeliveryMetrics {
  readonly #attempts: Counter<"target" | "outcome">;
  readonly #ended: Counter<"target" | "state">;
  readonly #inFlight: Gauge<"target">;
  readonly #duration: Histogram<"target">;
  readonly #lateness: Histogram<"target">;
  readonly #firstAttempt: Histogram<"target">;

  constructor(registry: Registry) {
    const registers = [registry];
    const target = ["target"] as const;
    this.#attempts = new Counter({
      name: "egret_delivery_attempts_total",
      help: "Requests made, by kind of target and outcome (accepted, refused, failed, dropped).",
      labelNames: ["target", "outcome"],
      registers,
    });
    this.#ended = new Counter({
      name: "egret_deliveries_ended_total",
      help: "Deliveries that ended, by kind of target and state (delivered, dead).",
      labelNames: ["target", "state"],
      registers,
    });
    this.#inFlight = new Gauge({
      name: "egret_delivery_attempts_in_flight",
      help: "Requests under way.",
      labelNames: target,
      registers,
    });
    this.#duration = new Histogram({
      name: "egret_delivery_attempt_duration_seconds",
      help: "From the start of a request to its status line, or to giving up.",
      labelNames: target,
      buckets: DURATION_SECONDS,
      registers,
    });
    this.#lateness = new Histogram({
      name: "egret_delivery_retry_lateness_seconds",
      help: "How long after its due time a retry started; never negative.",
      labelNames: target,
      buckets: LATENESS_SECONDS,
      registers,
    });
    this.#firstAttempt = new Histogram({
      name: "egret_delivery_first_attempt_delay_seconds",
      help: "From the creation of a delivery to the start of its first request.",
      labelNames: target,
      buckets: LATENESS_SECONDS,
      registers,
    });
  }

  /** Counts a request as under way until the returned function is called. */
  begin(target: PendingData["target_kind"]): () => void {
    this.#inFlight.inc({ target });
    return () => this.#inFlight.dec({ target });
  }

  observe({ pending, outcome, attempt, state, dueAtMs, createdAtMs }: ObservedAttempt): void {
    const target = pending.target_kind;
    this.#attempts.inc({ target, outcome: outcome.kind });
    if (state !== "retrying") this.#ended.inc({ target, state });
    if (outcome.kind === "dropped") return;
    this.#duration.observe({ target }, outcome.durationMs / 1000);
    const startedAtMs = outcome.startedAt.getTime();
    if (dueAtMs !== null) this.#lateness.observe({ target }, (startedAtMs - dueAtMs) / 1000);
    else if (attempt === 1)
      this.#firstAttempt.observe({ target }, Math.max(0, startedAtMs - createdAtMs) / 1000);
  }
}
