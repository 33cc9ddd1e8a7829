/** Rows of the read models, schema egret_read, as Kysely sees them. */
import type { ColumnType, Generated, JSONColumnType } from "kysely";
import type { DryReport, TestReport } from "../domain/trial.ts";

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type Json<T extends object> = JSONColumnType<T, string, string>;

export interface RunReadModel {
  id: number;
  workspace_id: number;
  sync_id: number;
  sync_name: string;
  run_kind: "normal" | "dry" | "test";
  command_id: string;
  status: "queued" | "working" | "completed" | "failed" | "skipped";
  state: string;
  version: number;
  trigger_tag: string;
  trigger_detail: string;
  /** The tick it was scheduled for. */
  scheduled_execution_time: Timestamp | null;
  destination_id: number | null;
  full_sync: boolean;
  full_sync_reasons: string[];
  canceled: boolean;
  source_record_count: number | null;
  source_record_updates: number | null;
  source_record_deletes: number | null;
  source_record_invalids: number | null;
  batches: number | null;
  records_processed: number | null;
  records_updated: number | null;
  records_failed: number | null;
  error_code: string | null;
  error_message: string | null;
  error_detail: string | null;
  /** What it is doing, or was doing when it failed (behaviour.md 4.3); null once it completed. */
  current_step: string | null;
  /** What a dry run found, or how the record of a test fared; null for a normal run, and before its end. */
  report: JSONColumnType<DryReport | TestReport> | null;
  created_at: Timestamp;
  started_at: Timestamp | null;
  completed_at: Timestamp | null;
  updated_at: Timestamp;
}

export interface DeliveryReadModel {
  id: string;
  workspace_id: number;
  target_kind: "webhook" | "destination";
  target_id: number;
  sync_id: number;
  run_id: number;
  event: string | null;
  event_id: string | null;
  records: number;
  payload: string | null;
  payload_sha256: string;
  state: "pending" | "retrying" | "delivered" | "dead";
  version: number;
  attempts: number;
  http_status: number | null;
  error: string | null;
  death_reason: string | null;
  next_attempt_at: Timestamp | null;
  created_at: Timestamp;
  updated_at: Timestamp;
  ended_at: Timestamp | null;
  redeliveries: Generated<number>;
}

export interface AttemptReadModel {
  run_id: number;
  target_kind: "webhook" | "destination";
  target_id: number;
  delivery_id: string;
  attempt: number;
  started_at: Timestamp;
  duration_ms: number;
  http_status: number | null;
  error: string | null;
}

export interface BatchReadModel {
  run_id: number;
  batch_no: number;
  delivery_id: string;
  destination_id: number;
  records: number;
  payload_sha256: string;
  state: DeliveryReadModel["state"];
  attempts: number;
  http_status: number | null;
  error: string | null;
  created_at: Timestamp;
  ended_at: Timestamp | null;
}

export interface SyncReadModel {
  id: number;
  workspace_id: number;
  name: string;
  settings: Json<Record<string, unknown>>;
  status: "ready" | "up to date" | "failing";
  last_run_id: number | null;
  last_run_at: Timestamp | null;
  deleted: Generated<boolean>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface WebhookReadModel {
  id: number;
  workspace_id: number;
  name: string;
  settings: Json<Record<string, unknown>>;
  last_success_at: Timestamp | null;
  last_failure_at: Timestamp | null;
  deleted: Generated<boolean>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface EndpointReadModel {
  target_kind: "webhook" | "destination";
  target_id: number;
  workspace_id: number;
  state: "healthy" | "failing" | "open" | "probing" | "disabled";
  version: number;
  /** The first failure of the outage that is going on; null when healthy. */
  since: Timestamp | null;
  consecutive_failures: number;
  last_error: string | null;
  last_http_status: number | null;
  next_probe_at: Timestamp | null;
  /** Why it is disabled. */
  reason: string | null;
  /** How often it stopped being healthy. */
  outages: number;
  updated_at: Timestamp;
}

/** One episode of an alert. A moment, such as a run's start, is resolved as it is raised. */
export interface AlertReadModel {
  id: number;
  configuration_id: number;
  workspace_id: number;
  sync_id: number;
  type: string;
  state: "open" | "resolved";
  raised_run_id: number;
  last_raised_run_id: number;
  /** Null while it is open, and when nobody watched any more. */
  resolved_run_id: number | null;
  times_raised: number;
  /** Of the last raise. */
  message: string;
  details: string;
  followup_url: string;
  resolution: "recovered" | "moment" | "configuration_deleted" | "sync_deleted" | null;
  resolved_message: string | null;
  resolved_details: string | null;
  raised_at: Timestamp;
  last_raised_at: Timestamp;
  resolved_at: Timestamp | null;
  updated_at: Timestamp;
}

export interface ConfigChangeReadModel {
  event_id: string;
  workspace_id: number;
  kind: string;
  object_id: number;
  change: "created" | "updated" | "deleted";
  version: number;
  name: string;
  actor: string;
  settings: Json<Record<string, unknown>>;
  occurred_at: Timestamp;
}

export interface RefusedCommandReadModel {
  command_id: string;
  workspace_id: number;
  subject: string;
  code: string;
  message: string;
  run_id: number | null;
  occurred_at: Timestamp;
}
