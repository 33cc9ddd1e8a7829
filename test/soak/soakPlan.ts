/**
 * What a soak does and what has to come of it: every answer of every receiver follows from the seed, the webhook, the
 * event and the number of the attempt, so the outcome of each delivery is known before the first request.
 */
import { lifecyclePayload } from "../../src/domain/lifecycle.ts";
import { type PendingData, sha256Hex } from "../../src/runtime/deliveries/deliveryActor.ts";
import { type Answer, answers, pick } from "../support/farmAnswers.ts";
import { chanceOf } from "../support/seeded.ts";

/** Size and temper of a soak; times in ms. */
export interface SoakOptions {
  deliveries: number;
  /** Webhooks, the dead one included. */
  targets: number;
  seed: number;
  /** Waits before the retries. */
  scheduleMs: readonly number[];
  timeoutMs: number;
  /** Shares of requests that are answered badly, and never. */
  failing: number;
  hanging: number;
  secondsBetweenKills: number;
  /** Exactly so many; null for as many as there is time for. */
  kills: number | null;
  /** Deliveries created per second at most; null for no bound but the next one. */
  ratePerSecond: number | null;
  /** Deliveries that have not ended, at most. */
  outstanding: number;
  /** Deliveries under way at once in each of the two Egret processes. */
  concurrency: number;
}

/** One delivery: which webhook (from 0; 0 is the dead one), which event (from 1). */
export interface Planned {
  target: number;
  event: number;
}

/** What a receiver does with one attempt. */
export interface Fate {
  kind: "accept" | "fail" | "hang";
  /** Null when no status line comes. */
  httpStatus: number | null;
  answer: Answer;
}

/** How a delivery must end, and with which attempt. */
export interface Expected {
  end: "delivered" | "dead";
  attempts: number;
}

/** The webhook where nobody listens. */
export const DEAD_TARGET = 0;

const accept = (httpStatus: number, answer: Answer): Fate => ({ kind: "accept", httpStatus, answer });
const fail = (httpStatus: number | null, answer: Answer): Fate => ({ kind: "fail", httpStatus, answer });

const ACCEPTS: readonly Fate[] = [
  accept(200, answers.ok),
  accept(204, answers.status(204)),
  accept(200, answers.garbage()),
  accept(202, answers.closeInBody(202)),
  accept(200, answers.informed([103], answers.ok)),
  accept(200, answers.okAndClose),
];
const FAILS: readonly Fate[] = [
  ...[500, 502, 503, 429, 404, 410].map((code) => fail(code, answers.status(code))),
  fail(302, answers.redirect("/elsewhere")),
  fail(503, answers.closeInBody(503)),
  fail(null, answers.reset),
  fail(null, answers.close),
  fail(null, answers.closeInHeaders),
  fail(null, answers.notHttp),
];
const HANGS: readonly Fate[] = [answers.hang, answers.hangInStatusLine, answers.hangInHeaders].map(
  (answer) => ({ kind: "hang", httpStatus: null, answer }),
);
/** Plain answers are most of those that accept. */
const PLAIN = 0.7;

const oneOf = (fates: readonly Fate[], chance: number): Fate =>
  fates[Math.floor(chance * fates.length)] ?? fates[0] ?? accept(200, answers.ok);

/** What an attempt meets at a target that is alive. */
export function fateOf(options: SoakOptions, { target, event }: Planned, attempt: number): Fate {
  const [kind, which] = chanceOf(`${options.seed}/${target}/${event}/${attempt}`);
  const shares = [
    [options.failing, FAILS],
    [options.hanging, HANGS],
  ] as const;
  const fates = pick(kind, shares);
  if (fates !== null) return oneOf(fates, which);
  return which < PLAIN ? oneOf(ACCEPTS, 0) : oneOf(ACCEPTS, (which - PLAIN) / (1 - PLAIN));
}

/** How a delivery ends when every answer reaches Egret in time. */
export function expectedOf(options: SoakOptions, planned: Planned): Expected {
  const attempts = options.scheduleMs.length + 1;
  if (planned.target !== DEAD_TARGET) {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      if (fateOf(options, planned, attempt).kind === "accept") return { end: "delivered", attempts: attempt };
    }
  }
  return { end: "dead", attempts };
}

/**
 * All deliveries in the order of their creation: each event goes to every webhook. The dead webhook's come first, before
 * the others want the same places: its circuit opens after five minutes, and then holds back what has not begun.
 */
export function planDeliveries({ deliveries, targets }: SoakOptions): Planned[] {
  const planned = Array.from({ length: deliveries }, (_, index) => ({
    target: index % targets,
    event: Math.floor(index / targets) + 1,
  }));
  const isDead = ({ target }: Planned): boolean => target === DEAD_TARGET;
  return [...planned.filter(isDead), ...planned.filter((each) => !isDead(each))];
}

/** Id of an event: what receivers tell repeats by. */
export function eventId(event: number): string {
  return `018f0000-0000-7000-8000-${String(event).padStart(12, "0")}`;
}

/** Id of a delivery, the same in the log, in the requests and in the read model. */
export function deliveryId({ target, event }: Planned): string {
  return `${event}-2-t${target}`;
}

/** The delivery that an id names; null when it is none of a soak. */
export function plannedOf(id: string): Planned | null {
  const [, event, target] = /^(\d+)-2-t(\d+)$/.exec(id) ?? [];
  return event === undefined ? null : { target: Number(target), event: Number(event) };
}

/** The first event of a delivery. `webhookIds` are those of the configuration, by target. */
export function pendingOf(
  { scheduleMs, timeoutMs }: SoakOptions,
  planned: Planned,
  webhookIds: readonly number[],
): PendingData {
  const payload = lifecyclePayload({
    event: "sync.started",
    workspaceId: 1,
    syncId: 1,
    runId: planned.event,
  });
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: webhookIds[planned.target] ?? 0,
    delivery_id: deliveryId(planned),
    sync_id: 1,
    sync_run_id: planned.event,
    fact: "created",
    event: "sync.started",
    event_id: eventId(planned.event),
    retry_delays_ms: [...scheduleMs],
    timeout_ms: timeoutMs,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
  };
}
