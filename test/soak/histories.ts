/** Reads the delivery events of a soak: as they come, for the count of what has ended, and as a whole, for the account. */
import { setTimeout as wait } from "node:timers/promises";
import type { StoredEvent } from "../../src/domain/event.ts";
import type { LogConnection } from "../../src/log/connection.ts";
import { follow } from "../../src/log/follow.ts";

/** One attempt as the log tells it; times in ms. */
export interface LoggedAttempt {
  attempt: number;
  startedAt: number;
  durationMs: number;
  httpStatus: number | null;
  error: string | null;
  /** Null after the last attempt. */
  delayMs: number | null;
  dueAt: number | null;
}

/** All events of one delivery, in short. */
export interface History {
  targetId: number;
  eventId: string | null;
  attempts: LoggedAttempt[];
  /** How often it was created. */
  created: number;
  /** Each event that ends it. */
  ends: ("delivered" | "dead")[];
  deathReason: string | null;
  /** Versions in the order of the log. */
  versions: number[];
}

const MAX_BATCH = 1_000;
const PAUSE_MS = 500;

function ms(instant: string): number {
  return Date.parse(instant);
}

/** Puts one event into the histories. */
export function noteEvent(histories: Map<string, History>, { event }: StoredEvent): void {
  const { type, data } = event;
  if (!type.startsWith("delivery.") || !("delivery_id" in data)) return;
  const id = data.delivery_id;
  let history = histories.get(id);
  if (history === undefined) {
    history = {
      targetId: data.target_id,
      eventId: null,
      attempts: [],
      created: 0,
      ends: [],
      deathReason: null,
      versions: [],
    };
    histories.set(id, history);
  }
  history.versions.push(event.version);
  if (type === "delivery.pending") {
    history.created += 1;
    history.eventId = data.event_id;
    return;
  }
  if (type === "delivery.delivered") history.ends.push("delivered");
  if (type === "delivery.dead") {
    history.ends.push("dead");
    history.deathReason = data.reason;
  }
  const { attempt, started_at: startedAt, duration_ms: durationMs, http_status: httpStatus, error } = data;
  if (attempt === null || startedAt === null || durationMs === null) return;
  const retried = type === "delivery.retrying" ? { delayMs: data.delay_ms, dueAt: ms(data.due_at) } : null;
  history.attempts.push({
    attempt,
    startedAt: ms(startedAt),
    durationMs,
    httpStatus,
    error,
    delayMs: retried?.delayMs ?? null,
    dueAt: retried?.dueAt ?? null,
  });
}

/** Calls `note` with every event once and in order, whatever becomes of the server meanwhile, until the signal aborts. */
export async function followThrough(
  connection: LogConnection,
  signal: AbortSignal,
  note: (stored: StoredEvent) => void,
): Promise<void> {
  let next = 1;
  const take = (stored: StoredEvent) => {
    // After a restart a consumer may begin a little earlier than it was asked to.
    if (stored.sequence < next) return;
    next = stored.sequence + 1;
    note(stored);
  };
  while (!signal.aborted) {
    try {
      const batches = follow(connection, "deliveries", { fromSequence: next, maxBatch: MAX_BATCH, signal });
      for await (const batch of batches) for (const stored of batch) take(stored);
    } catch {
      // The server is away: what was read is read, the rest comes when it is back.
    }
    if (!signal.aborted) await wait(PAUSE_MS);
  }
}

/** The histories of all deliveries that the log holds now. */
export async function readHistories(
  connection: LogConnection,
  lastSequence: number,
  signal: AbortSignal,
): Promise<Map<string, History>> {
  const histories = new Map<string, History>();
  if (lastSequence === 0) return histories;
  const stop = new AbortController();
  await followThrough(connection, AbortSignal.any([signal, stop.signal]), (stored) => {
    if (stored.sequence > lastSequence) return;
    noteEvent(histories, stored);
    if (stored.sequence === lastSequence) stop.abort();
  });
  return histories;
}
