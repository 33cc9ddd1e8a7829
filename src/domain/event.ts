/** Every event that can stand in the log: its envelope (CloudEvents 1.0) and the data of each type. */
import { z } from "zod";
import type { Aggregate } from "./aggregate.ts";
import { ALERT_TYPES } from "./alertTypes.ts";
import { replayWantedSchema } from "./replay.ts";
import { dryReportSchema, testReportSchema } from "./trial.ts";

const id = z.int().positive();
const count = z.int().nonnegative();
const instant = z.iso.datetime().describe("UTC, ISO 8601 with milliseconds");
const runIds = { workspace_id: id, sync_id: id, sync_run_id: id };

const triggerReason = z.object({ ui_tag: z.string(), ui_detail: z.string() });
const scheduledTime = instant
  .nullable()
  .optional()
  .describe("the tick it was scheduled for; null or left out when not scheduled");

const runCounters = {
  source_record_count: count.nullable().describe("every row of the model, invalid ones included"),
  source_record_updates: count.nullable().describe("new or changed rows"),
  source_record_deletes: count.nullable().describe("rows gone from the source (mirror)"),
  source_record_invalids: count.nullable().describe("rows with a NULL or repeated key"),
  records_processed: count.nullable().describe("rows sent"),
  records_updated: count.nullable().describe("rows that the destination accepted"),
  records_failed: count.nullable().describe("rows that the destination rejected"),
};

/** The counters of a run, null while unknown (behaviour.md 4.2). */
export const runCountersSchema = z.object(runCounters);
export type RunCounters = z.infer<typeof runCountersSchema>;

const runEnd = {
  ...runIds,
  ...runCounters,
  canceled: z.boolean(),
  full_sync: z.boolean(),
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  error_detail: z.string().nullable(),
};

const deliveryIds = {
  workspace_id: id,
  target_kind: z.enum(["webhook", "destination"]),
  target_id: id,
  delivery_id: z.string(),
  sync_id: id,
  sync_run_id: id,
};

const attempt = {
  attempt: z.int().positive().describe("1 for the first request"),
  started_at: instant,
  duration_ms: z.number().nonnegative(),
  http_status: z.int().nullable().describe("null when no status line came back"),
  error: z.string().nullable().describe("what went wrong, without any body; null when accepted"),
};

const config = {
  workspace_id: id,
  kind: z.enum(["workspace", "source", "model", "destination", "sync", "webhook"]),
  object_id: id,
  name: z.string(),
  actor: z.string().describe("who changed it, such as `egret apply`"),
  settings: z.record(z.string(), z.unknown()).describe("the object as it now is, without secrets"),
};

const replayEnd = {
  workspace_id: id,
  replay_id: id,
  replayed: count.describe("deliveries begun again"),
  skipped: z.record(z.string(), count).describe("deliveries passed over, by reason"),
  duration_ms: z.number(),
};

const endpoint = {
  workspace_id: id,
  target_kind: z.enum(["webhook", "destination"]),
  target_id: id,
  consecutive_failures: count.describe("failed attempts in a row, also those of an outage that ends here"),
  since: instant.nullable().describe("the first of them; null when there is none"),
  last_error: z.string().nullable(),
  last_http_status: z.int().nullable(),
};
const configVersion = z.int().positive().describe("version of the webhook's configuration that did it");

const alert = {
  workspace_id: id,
  sync_id: id,
  alert_id: id.describe("the alert configuration that watches"),
  alert_instance_id: id.describe("one episode, from its first raise to its resolution"),
  alert_type: z.enum(ALERT_TYPES),
  times: z.int().positive().describe("how often it was raised in this episode"),
};

/** Data of each event type. Row values, secrets and response bodies are in none of them (I11). */
export const EVENT_DATA = {
  "sync.triggered": z.object({
    ...runIds,
    command_id: z.string().describe("Nats-Msg-Id of the command, or its place in the command stream"),
    sync_name: z.string(),
    force_full_sync: z.boolean(),
    allow_deletes: z.boolean().optional().describe("max_delete_percent is passed over"),
    allow_rejects: z.boolean().optional().describe("max_rejected_percent is passed over"),
    sync_trigger_reason: triggerReason,
    scheduled_execution_time: scheduledTime,
  }),
  "sync.skipped": z.object({
    ...runIds,
    command_id: z.string(),
    sync_name: z.string(),
    sync_trigger_reason: triggerReason,
    scheduled_execution_time: scheduledTime,
    running_run_id: id.describe("the run of the sync that was under way"),
  }),
  "sync.started": z.object({ ...runIds, worker: z.string() }),
  "sync.checked": z.object({
    ...runIds,
    destination_id: id,
    full_sync: z.boolean(),
    full_sync_reasons: z.array(z.string()),
  }),
  "sync.snapshotted": z.object({ ...runIds, source_record_count: count, duration_ms: z.number() }),
  "sync.planned": z.object({
    ...runIds,
    source_record_count: count,
    source_record_updates: count,
    source_record_deletes: count,
    source_record_invalids: count,
    batches: count,
    duration_ms: z.number(),
  }),
  "sync.loaded": z.object({
    ...runIds,
    records_processed: count,
    records_updated: count,
    records_failed: count,
  }),
  "sync.cancel_requested": z.object({
    ...runIds,
    command_id: z.string().describe("of the command that asked for it"),
    requested_by: z.string(),
  }),
  "sync.completed": z.object({ ...runEnd, status: z.enum(["ok", "emergency"]) }),
  "sync.success": z.object({ ...runIds, duration_ms: z.number() }),
  "sync.failed": z.object({
    ...runIds,
    duration_ms: z.number(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
  }),
  "trial.requested": z.object({
    ...runIds,
    run_kind: z.enum(["dry", "test"]).describe("dry: what would a run do; test: one record is sent"),
    command_id: z.string(),
    sync_name: z.string(),
    force_full_sync: z.boolean(),
    sync_trigger_reason: triggerReason,
  }),
  "trial.started": z.object({ ...runIds, worker: z.string() }),
  "trial.completed": z.object({
    ...runIds,
    ...runCounters,
    destination_id: id,
    full_sync: z.boolean(),
    full_sync_reasons: z.array(z.string()),
    dry: dryReportSchema.nullable().describe("what a run would do; null for a test"),
    test: testReportSchema.nullable().describe("how the one record fared; null for a dry run"),
    duration_ms: z.number(),
  }),
  "trial.failed": z.object({
    ...runIds,
    canceled: z.boolean(),
    command_id: z.string().nullable().describe("of the command that canceled it"),
    error_code: z.string(),
    error_message: z.string(),
    error_detail: z.string().nullable(),
  }),
  "delivery.pending": z.object({
    ...deliveryIds,
    fact: z.enum(["created", "redelivered"]).describe("redelivered: an ended delivery that begins again"),
    redelivery: z
      .object({
        by: z.string().describe("who asked, such as `egret deliveries redeliver`"),
        job_id: id.nullable().describe("the replay that did it; null for one delivery alone"),
      })
      .optional()
      .describe("only where a person asked for it: a redelivery, or a missed event delivered later"),
    event: z.string().nullable().describe("the lifecycle event carried; null for a batch"),
    event_id: z.string().nullable(),
    retry_delays_ms: z.array(z.number()),
    timeout_ms: z.number(),
    records: count.describe("rows of the batch; 0 for a lifecycle event"),
    payload: z
      .string()
      .nullable()
      .describe("the exact bytes of a lifecycle payload; null for a batch (rows stay out of the log)"),
    payload_sha256: z.string().describe("hex, of the exact bytes sent"),
  }),
  "delivery.retrying": z.object({
    ...deliveryIds,
    fact: z.literal("attempt.failed"),
    ...attempt,
    delay_ms: z.number().nonnegative(),
    due_at: instant.describe("the next attempt starts no earlier (I6)"),
  }),
  "delivery.delivered": z.object({
    ...deliveryIds,
    fact: z.literal("attempt.accepted"),
    ...attempt,
    records_rejected: count
      .optional()
      .describe(
        "rows of the batch that the answer did not call successful; only where it speaks of each row",
      ),
  }),
  "delivery.dead": z.object({
    ...deliveryIds,
    fact: z.enum(["attempt.failed", "attempt.refused", "delivery.dropped"]),
    reason: z.enum(["exhausted", "refused", "target_deleted", "target_disabled", "run_ended"]),
    attempt: attempt.attempt.nullable(),
    started_at: instant.nullable(),
    duration_ms: z.number().nullable(),
    http_status: attempt.http_status,
    error: attempt.error,
  }),
  "replay.requested": z.object({
    workspace_id: id,
    replay_id: id,
    requested_by: z.string(),
    rate_per_second: z.int().positive().describe("deliveries begun again per second at most"),
    wanted: replayWantedSchema,
  }),
  "replay.completed": z.object(replayEnd),
  "replay.failed": z.object({ ...replayEnd, error: z.string() }),
  "replay.cancelled": z.object({ ...replayEnd, cancelled_by: z.string() }),
  "endpoint.healthy": z.object({
    ...endpoint,
    fact: z.enum(["created", "target.accepted", "target.enabled"]),
    outage_ms: z
      .number()
      .nonnegative()
      .nullable()
      .describe("since the first failure; null when no outage ends here"),
    config_version: configVersion.nullable(),
  }),
  "endpoint.failing": z.object({ ...endpoint, fact: z.literal("failures.repeated") }),
  "endpoint.open": z.object({
    ...endpoint,
    fact: z.enum(["failures.lasted", "probe.failed"]),
    probe: z.int().positive().describe("number of the probe to come, from 1 in each outage"),
    next_probe_at: instant.describe("no delivery begins before"),
  }),
  "endpoint.probing": z.object({
    ...endpoint,
    fact: z.literal("probe.begun"),
    probe: z.int().positive().describe("number of the probe under way"),
  }),
  "endpoint.disabled": z.object({
    ...endpoint,
    fact: z.literal("target.disabled"),
    reason: z.enum(["gone", "exhausted"]).describe("it answered 410, or lost too many deliveries in a row"),
    config_version: configVersion,
  }),
  "alert.raised": z.object({
    ...alert,
    sync_run_id: id.describe("the run that shows it"),
    fact: z
      .enum(["limit.violated", "moment.came"])
      .describe("moment.came: over as it happens, no alert.resolved follows"),
    message: z.string(),
    details: z.string(),
    followup_url: z.string(),
  }),
  "alert.resolved": z.object({
    ...alert,
    sync_run_id: id
      .nullable()
      .describe("the run that resolves it; null when nobody watches any more: then nobody is told"),
    last_raised_run_id: id,
    fact: z.enum(["limit.kept", "watch.ended"]),
    reason: z.enum(["recovered", "configuration_deleted", "sync_deleted"]),
    message: z.string().nullable(),
    details: z.string().nullable(),
    followup_url: z.string().nullable(),
  }),
  "config.created": z.object(config),
  "config.updated": z.object(config),
  "config.deleted": z.object(config),
  "command.refused": z.object({
    workspace_id: id,
    command_id: z.string(),
    subject: z.string(),
    code: z.enum([
      "INVALID_COMMAND",
      "UNKNOWN_SYNC",
      "ALREADY_RUNNING",
      "PAUSED",
      "UNKNOWN_RUN",
      "RUN_ENDED",
    ]),
    message: z.string().describe("names the field and the fix"),
    sync_run_id: id.nullable().describe("the run that is already going on, if that is why"),
  }),
} as const;

export type EventType = keyof typeof EVENT_DATA;
const EVENT_TYPES = Object.keys(EVENT_DATA) as EventType[];
export type EventData<T extends EventType> = z.infer<(typeof EVENT_DATA)[T]>;

/** A fact in the log: one transition of one aggregate. */
export interface EgretEvent<T extends EventType = EventType> {
  specversion: "1.0";
  /** uuid v7: also the decision id by which a writer knows its own append again. */
  id: string;
  source: "egret";
  type: T;
  /** The aggregate, such as `run/7011`. */
  subject: string;
  /** UTC, ISO 8601 with milliseconds. */
  time: string;
  datacontenttype: "application/json";
  /** Place in the aggregate's history: 1, 2, 3, … without a gap (I2). */
  version: number;
  /** Statechart and its version, such as `delivery@1`; null for an aggregate without one. */
  machine: string | null;
  /** State after this event, such as `started.loading`; compared on replay. */
  state: string;
  traceparent?: string;
  data: EventData<T>;
}

/** Any event, narrowed by its `type`. */
export type AnyEvent = { [T in EventType]: EgretEvent<T> }[EventType];

/** An event with its place in its stream. */
export interface StoredEvent<E extends AnyEvent = AnyEvent> {
  event: E;
  /** Sequence number in the stream: what a checkpoint counts and an append expects. */
  sequence: number;
}

/** Last word of the subject of an event: `triggered` for `sync.triggered`. */
export function subjectWord(type: EventType): string {
  return type.slice(type.lastIndexOf(".") + 1);
}

/** Last words of the subjects that an aggregate of a kind can have, such as `pending` of a delivery. */
export function subjectWords(kind: Aggregate["kind"]): readonly string[] {
  return WORDS.get(kind) ?? [];
}

/** A run's events bear the public names of its sync. */
const prefixOf = (kind: Aggregate["kind"]): string => (kind === "run" ? "sync." : `${kind}.`);

const KINDS = ["run", "trial", "delivery", "config", "command", "replay", "endpoint", "alert"] as const;
const WORDS: ReadonlyMap<Aggregate["kind"], readonly string[]> = new Map(
  KINDS.map((kind) => [
    kind,
    EVENT_TYPES.filter((type) => type.startsWith(prefixOf(kind))).map((type) => subjectWord(type)),
  ]),
);

/** The envelope of one event type as a zod schema, from which JSON Schema is exported. */
export function eventSchema<T extends EventType>(type: T) {
  return z.object({
    specversion: z.literal("1.0"),
    id: z.uuid(),
    source: z.literal("egret"),
    type: z.literal(type),
    subject: z.string(),
    time: instant,
    datacontenttype: z.literal("application/json"),
    version: z.int().positive(),
    machine: z.string().nullable(),
    state: z.string(),
    traceparent: z.string().optional(),
    data: EVENT_DATA[type],
  });
}

/** True for a type that this version knows. */
export function isEventType(type: string): type is EventType {
  return Object.hasOwn(EVENT_DATA, type);
}
