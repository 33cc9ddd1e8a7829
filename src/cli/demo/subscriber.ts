/** A subscriber of the demo: receives lifecycle webhooks, checks both signatures, and can be made to fail first. */
import { duration } from "../format.ts";
import { paintVerdict } from "../listen.ts";
import {
  type AnsweredRequest,
  type CheckedRequest,
  type DevelopmentReceiver,
  header,
  startDevelopmentReceiver,
} from "../receiver.ts";
import { paint } from "../terminal.ts";

/** One attempt as the subscriber saw it. */
export interface SeenAttempt {
  deliveryId: string;
  event: string;
  attempt: number;
  status: number;
  atMs: number;
  answeredAtMs: number;
  isSigned: boolean;
}

/** A subscriber while it listens. */
export interface Subscriber extends DevelopmentReceiver {
  name: string;
  attempts: readonly SeenAttempt[];
  /** Known only after `egret apply` has shown it. */
  useSecret(secret: string): void;
}

interface SubscriberOptions {
  name: string;
  /** How often the very first delivery is answered 500. */
  failures: number;
  /** The schedule of retries, ms. */
  delaysMs: readonly number[];
  /** Gets one line per attempt. */
  print(line: string): void;
}

/** Starts a subscriber. */
export async function startSubscriber(options: SubscriberOptions): Promise<Subscriber> {
  const attempts: SeenAttempt[] = [];
  let secret: string | null = null;
  let firstDelivery: string | null = null;
  const receiver = await startDevelopmentReceiver({
    port: 0,
    secret: () => secret,
    answer: (request) => {
      firstDelivery ??= deliveryOf(request);
      return deliveryOf(request) === firstDelivery && attemptOf(request) <= options.failures ? 500 : 200;
    },
    onRequest: (request) => {
      const seen = seenAttempt(request);
      attempts.push(seen);
      options.print(attemptLine(request, seen, { ...options, attempts }));
    },
  });
  return {
    ...receiver,
    name: options.name,
    attempts,
    useSecret: (known) => {
      secret = known;
    },
  };
}

function deliveryOf({ headers }: CheckedRequest): string {
  return header(headers, "x-delivery-id") ?? "";
}

function attemptOf({ headers }: CheckedRequest): number {
  return Number(header(headers, "x-delivery-attempt"));
}

function seenAttempt(request: AnsweredRequest): SeenAttempt {
  const { event } = JSON.parse(request.body.toString("utf8")) as { event: string };
  return {
    deliveryId: deliveryOf(request),
    event,
    attempt: attemptOf(request),
    status: request.status,
    atMs: request.atMs,
    answeredAtMs: request.answeredAtMs,
    isSigned: request.signature === "valid" && request.standardSignature === "valid",
  };
}

/** How long after the answer to the attempt before a retry came, ms; null for a first attempt. */
export function measuredWaitMs(seen: SeenAttempt, attempts: readonly SeenAttempt[]): number | null {
  const before = attempts.find(
    ({ deliveryId, attempt }) => deliveryId === seen.deliveryId && attempt === seen.attempt - 1,
  );
  return before === undefined ? null : seen.atMs - before.answeredAtMs;
}

function attemptLine(
  request: AnsweredRequest,
  seen: SeenAttempt,
  { name, delaysMs, attempts }: SubscriberOptions & { attempts: readonly SeenAttempt[] },
): string {
  const answer =
    seen.status < 300 ? paint("green", `HTTP ${seen.status}`) : paint("red", `HTTP ${seen.status}`);
  const waitMs = measuredWaitMs(seen, attempts);
  const delayMs = delaysMs[seen.attempt - 2] ?? 0;
  const lateness =
    waitMs === null
      ? `${duration(seen.atMs - producedAtMs(request))} after the event`
      : `${duration(waitMs)} after attempt ${seen.attempt - 1}: due after ${duration(delayMs)}, ${duration(waitMs - delayMs)} late`;
  return [
    `  ${paint("cyan", "webhook")}  ${seen.event.padEnd(14)} -> ${name.padEnd(13)}`,
    `attempt ${seen.attempt}`,
    answer,
    `signature ${paintVerdict(request.signature)}, standard ${paintVerdict(request.standardSignature)}`,
    paint("dim", lateness),
  ].join("  ");
}

/** An event's id is a uuid v7: its first 48 bits are the moment at which it was made, ms since 1970. */
function producedAtMs({ headers }: CheckedRequest): number {
  return Number.parseInt((header(headers, "x-event-id") ?? "").replaceAll("-", "").slice(0, 12), 16);
}
