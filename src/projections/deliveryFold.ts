/** What a batch of delivery events adds up to: rows to insert, changes to rows that exist, and attempts. No I/O. */
import type { AnyEvent, EgretEvent, StoredEvent } from "../domain/event.ts";
import type { AttemptReadModel, DeliveryReadModel } from "./readModelTables.ts";

/** Events of a delivery's own history. */
export type DeliveryEvent = Extract<AnyEvent, { type: `delivery.${string}` }>;
type AttemptEvent = Exclude<DeliveryEvent, { type: "delivery.pending" }>;

/** Read models with timestamps as the text that stands in the event: a million dates need not be parsed. */
type AsText<Row, Timestamps extends keyof Row> = Omit<Row, Timestamps> & { [T in Timestamps]: string | null };
type DeliveryTimes = "next_attempt_at" | "created_at" | "updated_at" | "ended_at";

/** A whole row, of a delivery whose beginning stands in the batch. */
export type DeliveryRow = Omit<AsText<DeliveryReadModel, DeliveryTimes>, "redeliveries"> & {
  redeliveries: number;
};

/**
 * The change to a row that exists; `attempts` is null when the batch brings no attempt, and `redeliveries` counts those
 * of the batch.
 */
export type DeliveryChange = Omit<
  Pick<DeliveryRow, "run_id" | "target_kind" | "target_id" | "id" | ChangingField>,
  "attempts"
> & { attempts: number | null };
type ChangingField =
  | "state"
  | "version"
  | "attempts"
  | "http_status"
  | "error"
  | "death_reason"
  | "next_attempt_at"
  | "updated_at"
  | "ended_at"
  | "redeliveries";

export type AttemptRow = AsText<AttemptReadModel, "started_at">;

/** Everything that a batch of events says of deliveries. */
export interface DeliveryFold {
  inserts: Map<string, DeliveryRow>;
  changes: Map<string, DeliveryChange>;
  attempts: Map<string, AttemptRow>;
  /** Events by delivery, of those in `changes`. */
  eventCounts: Map<string, number>;
}

/** Identity of a delivery as one text; its run adds nothing to it. */
export function deliveryKey(row: { target_kind: string; target_id: number; id: string }): string {
  return `${row.target_kind}/${row.target_id}/${row.id}`;
}

/** True for an event of a delivery. */
export function isDeliveryEvent(event: AnyEvent): event is DeliveryEvent {
  return event.type.startsWith("delivery.");
}

/** Adds up the delivery events of a batch, in order. */
export function foldDeliveries(events: readonly StoredEvent[]): DeliveryFold {
  const fold: DeliveryFold = {
    inserts: new Map(),
    changes: new Map(),
    attempts: new Map(),
    eventCounts: new Map(),
  };
  for (const { event } of events) {
    if (!isDeliveryEvent(event)) continue;
    const { target_kind, target_id, delivery_id: id } = event.data;
    const key = deliveryKey({ target_kind, target_id, id });
    if (event.type === "delivery.pending" && event.data.fact === "redelivered") {
      addRedelivery(fold, key, event);
    } else if (event.type === "delivery.pending") {
      fold.inserts.set(key, newDelivery(event));
      fold.changes.delete(key);
    } else {
      addAttempt(fold, key, event);
    }
  }
  return fold;
}

function newDelivery({ data, state, version, time }: EgretEvent<"delivery.pending">): DeliveryRow {
  return {
    id: data.delivery_id,
    workspace_id: data.workspace_id,
    target_kind: data.target_kind,
    target_id: data.target_id,
    sync_id: data.sync_id,
    run_id: data.sync_run_id,
    event: data.event,
    event_id: data.event_id,
    records: data.records,
    payload: data.payload,
    payload_sha256: data.payload_sha256,
    state: state as DeliveryRow["state"],
    version,
    attempts: 0,
    http_status: null,
    error: null,
    death_reason: null,
    next_attempt_at: null,
    created_at: time,
    updated_at: time,
    ended_at: null,
    redeliveries: 0,
  };
}

/** The delivery begins again: what its last attempt left stays until the next one. */
function addRedelivery(fold: DeliveryFold, key: string, event: EgretEvent<"delivery.pending">): void {
  const { target_kind, target_id, delivery_id, sync_run_id: run_id } = event.data;
  const again = {
    state: event.state as DeliveryRow["state"],
    version: event.version,
    death_reason: null,
    next_attempt_at: null,
    updated_at: event.time,
    ended_at: null,
  };
  const row = fold.inserts.get(key);
  if (row !== undefined) {
    fold.inserts.set(key, Object.assign(row, again, { redeliveries: row.redeliveries + 1 }));
    return;
  }
  const before = fold.changes.get(key);
  fold.changes.set(key, {
    run_id,
    target_kind,
    target_id,
    id: delivery_id,
    attempts: before?.attempts ?? null,
    http_status: before?.http_status ?? null,
    error: before?.error ?? null,
    ...again,
    redeliveries: (before?.redeliveries ?? 0) + 1,
  });
  fold.eventCounts.set(key, (fold.eventCounts.get(key) ?? 0) + 1);
}

function addAttempt(fold: DeliveryFold, key: string, event: AttemptEvent): void {
  const { target_kind, target_id, delivery_id, sync_run_id: run_id } = event.data;
  const row = fold.inserts.get(key);
  if (row !== undefined) {
    fold.inserts.set(key, Object.assign(row, changed(row, event)));
  } else {
    const change = changed(fold.changes.get(key), event);
    const redeliveries = fold.changes.get(key)?.redeliveries ?? 0;
    fold.changes.set(key, { run_id, target_kind, target_id, id: delivery_id, ...change, redeliveries });
    fold.eventCounts.set(key, (fold.eventCounts.get(key) ?? 0) + 1);
  }
  const { attempt, started_at, duration_ms, http_status, error } = event.data;
  // A delivery that was dropped had no request in it.
  if (attempt === null || started_at === null) return;
  fold.attempts.set(`${key}/${attempt}`, {
    run_id,
    target_kind,
    target_id,
    delivery_id,
    attempt,
    started_at,
    duration_ms: duration_ms ?? 0,
    http_status,
    error,
  });
}

/** The changing fields after an event. A drop without an attempt keeps what the last attempt had left. */
function changed<Before extends Pick<DeliveryChange, "attempts" | "http_status" | "error">>(
  before: Before | undefined,
  { type, data, state, version, time }: AttemptEvent,
) {
  const attempted = data.attempt !== null;
  return {
    state: state as DeliveryRow["state"],
    version,
    attempts: (data.attempt ?? before?.attempts ?? null) as Before["attempts"],
    http_status: attempted ? data.http_status : (before?.http_status ?? null),
    error: attempted ? data.error : (data.error ?? before?.error ?? null),
    death_reason: "reason" in data ? data.reason : null,
    next_attempt_at: "due_at" in data ? data.due_at : null,
    updated_at: time,
    ended_at: type === "delivery.retrying" ? null : time,
  };
}
