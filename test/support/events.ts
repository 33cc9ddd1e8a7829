/** Makes valid events for tests: each is checked by the schema of its type before it is handed out. */
import { createHash } from "node:crypto";
import { DELIVERY_MACHINE } from "../../machines/delivery.ts";
import { SYNC_RUN_MACHINE } from "../../machines/syncRun.ts";
import {
  type AnyEvent,
  type EventData,
  type EventType,
  eventSchema,
  type StoredEvent,
} from "../../src/domain/event.ts";

/** First instant of made histories; every event of a history comes a second after the one before. */
export const EPOCH_MS = Date.UTC(2026, 0, 5, 9);

/** What an event is made from; id and time follow from subject and version unless given. */
export interface EventParts<T extends EventType> {
  type: T;
  subject: string;
  version: number;
  state: string;
  machine?: string | null;
  atMs?: number;
  data: EventData<T>;
}

/** One event, checked. */
export function makeEvent<T extends EventType>(parts: EventParts<T>): AnyEvent {
  const { type, subject, version, state, machine = null, data } = parts;
  const event = {
    specversion: "1.0",
    id: uuidOf(`${subject}:${version}:${type}`),
    source: "egret",
    type,
    subject,
    time: at(parts.atMs ?? EPOCH_MS + version * 1000),
    datacontenttype: "application/json",
    version,
    machine,
    state,
    data,
  };
  return eventSchema(type).parse(event) as AnyEvent;
}

/** Gives events their places in a stream. */
export function stored(events: readonly AnyEvent[], firstSequence = 1): StoredEvent[] {
  return events.map((event, index) => ({ event, sequence: firstSequence + index }));
}

export interface RunShape {
  runId: number;
  syncId?: number;
  workspaceId?: number;
  outcome?: "ok" | "emergency" | "canceled";
  /** Events before `sync.completed`, of six at most. */
  phases?: number;
  startMs?: number;
}

/** The whole history of a run, from `sync.triggered` to `sync.success` or `sync.failed`. */
export function runHistory(shape: RunShape): AnyEvent[] {
  const { runId, syncId = 88, workspaceId = 12, outcome = "ok", startMs = EPOCH_MS } = shape;
  const ids = { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId };
  const found = { source_record_updates: 14, source_record_deletes: 0, source_record_invalids: 1 };
  const sent = { records_processed: 14, records_updated: 13, records_failed: 1 };
  const well = outcome === "ok";
  const phases = well ? 6 : Math.min(shape.phases ?? 6, 6);
  const none = <T extends object>(counts: T, known: boolean) =>
    (known ? counts : Object.fromEntries(Object.keys(counts).map((key) => [key, null]))) as {
      [K in keyof T]: number;
    };
  const of = <T extends EventType>(type: T, state: string, data: EventData<T>) => ({ type, state, data });
  const steps = [
    of("sync.triggered", "triggered", {
      ...ids,
      command_id: `command-${runId}`,
      sync_name: `sync ${syncId}`,
      force_full_sync: runId % 2 === 0,
      sync_trigger_reason: { ui_tag: "Manual", ui_detail: "by hand" },
    }),
    of("sync.started", "started.checking", { ...ids, worker: "w1" }),
    of("sync.checked", "started.snapshotting", {
      ...ids,
      destination_id: 3,
      full_sync: true,
      full_sync_reasons: ["first run", 'mapping "a\\b" changed'],
    }),
    of("sync.snapshotted", "started.diffing", { ...ids, source_record_count: 15, duration_ms: 12.5 }),
    of("sync.planned", "started.loading", {
      ...ids,
      source_record_count: 15,
      ...found,
      batches: 2,
      duration_ms: 3,
    }),
    of("sync.loaded", "started.committing", { ...ids, ...sent }),
  ].slice(0, Math.max(1, phases));
  const end = [
    of("sync.completed", "completed.concluding", {
      ...ids,
      ...none({ source_record_count: 15 }, phases > 3),
      ...none(found, phases > 4),
      ...none(sent, phases > 5),
      canceled: outcome === "canceled",
      full_sync: phases > 2,
      status: well ? "ok" : "emergency",
      error_code: well ? null : outcome === "canceled" ? "SYNC_CANCELED" : "SOURCE_TIMEOUT",
      error_message: well ? null : "it took too long",
      error_detail: null,
    }),
    well
      ? of("sync.success", "completed.success", { ...ids, duration_ms: 9 })
      : of("sync.failed", "completed.failed", {
          ...ids,
          duration_ms: 9,
          error_code: "SOURCE_TIMEOUT",
          error_message: "it took too long",
        }),
  ];
  return [...steps, ...end].map((step, index) =>
    makeEvent({
      ...(step as EventParts<EventType>),
      subject: `run/${runId}`,
      machine: SYNC_RUN_MACHINE,
      version: index + 1,
      atMs: startMs + index * 1000,
    }),
  );
}

export interface DeliveryShape {
  deliveryId: string;
  targetKind?: "webhook" | "destination";
  targetId?: number;
  runId?: number;
  /** Attempts that fail and are retried before the end. */
  retries?: number;
  end?: "open" | "delivered" | "exhausted" | "refused" | "dropped";
  /** What comes of a redelivery after the end; none when left out. */
  again?: "open" | "delivered";
  startMs?: number;
}

/** The history of a delivery, as far as `end` says. */
export function deliveryHistory(shape: DeliveryShape): AnyEvent[] {
  const {
    deliveryId,
    targetKind = "destination",
    targetId = 3,
    runId = 7011,
    retries = 0,
    end = "delivered",
  } = shape;
  const startMs = shape.startMs ?? EPOCH_MS;
  const ids = {
    workspace_id: 12,
    target_kind: targetKind,
    target_id: targetId,
    delivery_id: deliveryId,
    sync_id: 88,
    sync_run_id: runId,
  };
  const batch = targetKind === "destination";
  const payload = batch
    ? null
    : `{"workspace_id":12,"sync_id":88,"sync_run_id":${runId},"event":"sync.started"}`;
  const of = <T extends EventType>(type: T, state: string, data: EventData<T>) => ({ type, state, data });
  const attempt = (n: number, http_status: number | null, error: string | null) => ({
    attempt: n,
    started_at: at(startMs + n * 1e3 - 100),
    duration_ms: 99.5,
    http_status,
    error,
  });
  const pending = {
    ...ids,
    event: batch ? null : "sync.started",
    event_id: batch ? null : uuidOf(deliveryId),
    retry_delays_ms: [4e3, 8e3],
    timeout_ms: 1e4,
    records: batch ? 7 : 0,
    payload,
    payload_sha256: sha256(payload ?? deliveryId),
  };
  const steps: { type: EventType; state: string; data: unknown }[] = [
    of("delivery.pending", "pending", { ...pending, fact: "created" }),
  ];
  for (let n = 1; n <= retries; n += 1) {
    steps.push(
      of("delivery.retrying", "retrying", {
        ...ids,
        fact: "attempt.failed",
        ...attempt(n, n % 2 === 0 ? null : 503, `try ${n} failed`),
        delay_ms: 4e3,
        due_at: at(startMs + n * 1e3 + 4e3),
      }),
    );
  }
  const last = retries + 1;
  if (end === "delivered") {
    steps.push(
      of("delivery.delivered", "delivered", {
        ...ids,
        fact: "attempt.accepted",
        ...attempt(last, 200, null),
      }),
    );
  } else if (end === "exhausted" || end === "refused") {
    const fact = end === "refused" ? "attempt.refused" : "attempt.failed";
    steps.push(
      of("delivery.dead", "dead", { ...ids, fact, reason: end, ...attempt(last, 500, "it said no") }),
    );
  } else if (end === "dropped") {
    const none = { attempt: null, started_at: null, duration_ms: null, http_status: null, error: null };
    steps.push(
      of("delivery.dead", "dead", { ...ids, fact: "delivery.dropped", reason: "target_deleted", ...none }),
    );
  }
  if (shape.again !== undefined && end !== "open") {
    const redelivery = { by: "test", job_id: null };
    steps.push(of("delivery.pending", "pending", { ...pending, fact: "redelivered", redelivery }));
    // A drop was no attempt.
    const next = end === "dropped" ? last : last + 1;
    const accepted = { ...ids, fact: "attempt.accepted" as const, ...attempt(next, 200, null) };
    if (shape.again === "delivered") steps.push(of("delivery.delivered", "delivered", accepted));
  }
  return steps.map((step, index) =>
    makeEvent({
      ...(step as EventParts<EventType>),
      subject: `delivery/${deliveryId}`,
      machine: DELIVERY_MACHINE,
      version: index + 1,
      atMs: startMs + index * 1000,
    }),
  );
}

export interface ConfigShape {
  kind: EventData<"config.created">["kind"];
  objectId: number;
  name?: string;
  /** Changes after the creation. */
  later?: readonly ("updated" | "deleted")[];
  startMs?: number;
}

/** Creation of a configured object and what became of it. */
export function configHistory({
  kind,
  objectId,
  name,
  later = [],
  startMs = EPOCH_MS,
}: ConfigShape): AnyEvent[] {
  return (["created", ...later] as const).map((change, index) =>
    makeEvent({
      type: `config.${change}` as const,
      subject: `${kind}/${objectId}`,
      version: index + 1,
      state: change,
      atMs: startMs - 6e4 + index * 1e3,
      data: {
        workspace_id: 12,
        kind,
        object_id: objectId,
        name: name ?? `${kind} ${objectId}`,
        actor: "egret apply",
        settings: {
          revision: index + 1,
          note: 'say "hi"\\',
        },
      },
    }),
  );
}

/** A command that was refused. */
export function refusal(commandId: string, startMs = EPOCH_MS): AnyEvent {
  return makeEvent({
    type: "command.refused",
    subject: `command/${commandId}`,
    version: 1,
    state: "refused",
    atMs: startMs,
    data: {
      workspace_id: 12,
      command_id: commandId,
      subject: "egret.commands.12.sync.trigger",
      code: "UNKNOWN_SYNC",
      message: "no sync has that name",
      sync_run_id: null,
    },
  });
}

const at = (ms: number) => new Date(ms).toISOString();
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A uuid that follows from a text, so that the same history is made twice alike. */
function uuidOf(text: string): string {
  const hex = sha256(text);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
