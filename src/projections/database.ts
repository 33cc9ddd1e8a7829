/** Our Postgres: the tables as Kysely sees them, and how a connection pool to them is opened. */
import { type ColumnType, type Generated, type JSONColumnType, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { toError, Unavailable } from "../domain/errors.ts";
import type { RunCounters } from "../domain/event.ts";
import type { ReplayWanted } from "../domain/replay.ts";
import type { ApiAuditTable, ApiIdempotencyTable, ApiTokenTable } from "./apiTables.ts";
import type {
  DestinationTable,
  ModelTable,
  SourceRefreshTable,
  SourceTable,
  SourceTableTable,
  SyncTable,
  WebhookTable,
  WorkspaceTable,
} from "./configurationTables.ts";
import type { ExchangeTable } from "./exchangeDays.ts";
import type { LinkTable } from "./linkTable.ts";
import type {
  AlertReadModel,
  AttemptReadModel,
  BatchReadModel,
  ConfigChangeReadModel,
  DeliveryReadModel,
  EndpointReadModel,
  RefusedCommandReadModel,
  RunReadModel,
  SyncReadModel,
  WebhookReadModel,
} from "./readModelTables.ts";
import { BoundedClient, noticeLoss } from "./silentConnections.ts";

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type Json<T extends object> = JSONColumnType<T, string, string>;

export interface ScheduleTickTable {
  sync_id: number;
  /** The schedule stands since then: its first tick comes after. */
  counts_from: Timestamp;
  is_planned: Generated<boolean>;
  next_tick_at: Timestamp | null;
  last_tick_at: Timestamp | null;
}

export interface RunSlotTable {
  run_id: number;
  workspace_id: number;
  state: "blocked" | "waiting" | "working";
  parked: Generated<number>;
  seen_at: Timestamp;
}

export interface HookTable {
  id: Generated<number>;
  workspace_id: number;
  sync_id: number;
  kind: "generic" | "dbt_cloud";
  token_sha256: Buffer;
  created_by: string;
  created_at: Timestamp;
  last_used_at: Timestamp | null;
  revoked_at: Timestamp | null;
}

export interface OutboxTable {
  id: Generated<number>;
  event_id: string;
  workspace_id: number;
  kind: string;
  object_id: number;
  change: "created" | "updated" | "deleted";
  version: number;
  data: Json<Record<string, unknown>>;
  occurred_at: Timestamp;
}

export interface AcceptedCommandTable {
  workspace_id: number;
  command_id: string;
  run_id: number;
  accepted_at: Timestamp;
  /** The run that was under way, where `run_id` is a skipped one. */
  skipped_for: number | null;
  /** Who or what asked; null too where the command joined another's run. */
  reason: string | null;
  /** The rest of what was asked, as src/engine/claims.ts has it; null where the command joined another's run. */
  asked: unknown;
}

export interface SyncStateTable {
  sync_id: number;
  active_run_id: number | null;
  /** Begins when the active one ends. */
  waiting_run_id: number | null;
  last_began_at: Timestamp | null;
  last_ended_at: Timestamp | null;
  /** Parts of the mapping as JSON, see src/sources/fingerprint.ts. */
  fingerprint: string | null;
  high_water_mark: string | null;
  committed_run_id: number | null;
}

/** What the destination is asked to do with the rows of a batch. */
export type BatchOperation = "upsert" | "update" | "insert" | "append" | "delete";

/** `split`: rejected and cut in two; what became of its rows stands in the halves. */
export type BatchOutcome = "accepted" | "rejected" | "unavailable" | "dropped" | "split";

export interface BatchTable {
  run_id: number;
  batch_no: number;
  sync_id: number;
  destination_id: number;
  records: number;
  /** The bytes to send; of a settled one those that were sent, as long as rows are kept. */
  body: Buffer | null;
  body_sha256: string;
  keys: string[] | null;
  /** Null where acceptance takes the keys out of the state: deletes of a mirror. */
  hashes: string[] | null;
  operation: Generated<BatchOperation>;
  row_records: string[] | null;
  outcome: BatchOutcome | null;
  status_message: string | null;
  settled_at: Timestamp | null;
  /** Of a half: the number of the planned batch and which halves of it, as in 3_1_2. */
  name: string | null;
  /** Method, path and content type as JSON, where a body is not all of a request. */
  request: string | null;
  /** The rows as a JSON array, where the body was made from a template. */
  source_records: Buffer | null;
  /** Why each row was not taken, in the order of keys; null for one that was. */
  row_errors: (string | null)[] | null;
  /** How many of row_errors are not null. */
  rejected_records: Generated<number>;
  /** Nobody is to begin sending it any more. */
  withdrawn: Generated<boolean>;
}

export interface PlanTable {
  run_id: number;
  source_record_count: number;
  updates: number;
  deletes: Generated<number>;
  invalids: number;
  batches: number;
  fingerprint: string | null;
  high_water_mark: string | null;
  /** When retention took the rows of the run's batches. */
  records_dropped_at: Timestamp | null;
}

export interface RetryKeyTable {
  sync_id: number;
  key: string;
  run_id: number;
}

export interface InvalidRowTable {
  id: Generated<number>;
  run_id: number;
  identifier: string | null;
  status: "NULL" | "DUPLICATE" | "INVALID";
  rows: number;
  /** Why, where it is INVALID. */
  message: Generated<string | null>;
}

/** Which row a test wants, and what was sent and answered: row values, so never in the log. */
export interface TestTable {
  run_id: number;
  sync_id: number;
  identifier: string | null;
  request: ColumnType<
    { method: string; url: string; headers: Record<string, string>; body: string } | null,
    string | undefined,
    string
  >;
  response: ColumnType<
    {
      http_status: number | null;
      headers: Record<string, string | string[] | undefined> | null;
      body: string | null;
      error: string | null;
      duration_ms: number;
    } | null,
    string | undefined,
    string
  >;
  created_at: Timestamp;
}

export interface ReplayTable {
  id: number;
  workspace_id: number;
  requested_by: string;
  rate_per_second: number;
  wanted: JSONColumnType<ReplayWanted>;
  state: "requested" | "completed" | "failed" | "cancelled";
  cursor: ColumnType<ReplayCursor | null, string | null, string>;
  taken: ColumnType<ReplayItem[] | null, string | null, string | null>;
  total: number | null;
  replayed: Generated<number>;
  skipped: ColumnType<Record<string, number>, string | undefined, string>;
  cancelled_by: string | null;
  error: string | null;
  requested_at: Timestamp;
  updated_at: Timestamp;
  ended_at: Timestamp | null;
}

/** The last delivery of a page, or the last event that was looked at, by its sequence in the runs stream. */
export type ReplayCursor = { created_at: string; id: string } | { sequence: number };

/** A delivery by its webhook and id, or an event by its sequence in the runs stream. */
export type ReplayItem = { target_id: number; id: string } | { sequence: number };

export interface AlertConfigurationTable {
  id: Generated<number>;
  workspace_id: number;
  sync_id: number;
  type: string;
  send_for: "first_time" | "every_time";
  should_send_recovery: boolean;
  options: ColumnType<Record<string, unknown> | null, string | null, string | null>;
  created_at: Timestamp;
  deleted_at: Timestamp | null;
  closed_at: Timestamp | null;
}

export interface AlertRunTable {
  sync_id: number;
  run_id: number;
  /** Of a completed run. */
  counters: ColumnType<RunCounters | null, string | null, string | null>;
}

export interface AlertFloorTable {
  sync_id: number;
  sequence: number;
}

export interface CheckpointTable {
  stream: string;
  last_sequence: number;
  stream_created: Timestamp;
}

/** Every table, by the name that stands in SQL. */
export interface Database {
  "egret.workspaces": WorkspaceTable;
  "egret.sources": SourceTable;
  "egret.models": ModelTable;
  "egret.source_tables": SourceTableTable;
  "egret.source_refreshes": SourceRefreshTable;
  "egret.destinations": DestinationTable;
  "egret.syncs": SyncTable;
  "egret.webhooks": WebhookTable;
  "egret.links": LinkTable;
  "egret.outbox": OutboxTable;
  "egret.schedule_ticks": ScheduleTickTable;
  "egret.run_slots": RunSlotTable;
  "egret.hooks": HookTable;
  "egret.accepted_commands": AcceptedCommandTable;
  "egret.sync_states": SyncStateTable;
  "egret.batches": BatchTable;
  "egret.plans": PlanTable;
  "egret.invalid_rows": InvalidRowTable;
  "egret.retry_keys": RetryKeyTable;
  "egret.tests": TestTable;
  "egret.replays": ReplayTable;
  "egret.exchanges": ExchangeTable;
  "egret.alert_configurations": AlertConfigurationTable;
  "egret.alert_runs": AlertRunTable;
  "egret.alert_floors": AlertFloorTable;
  "egret.api_tokens": ApiTokenTable;
  "egret.api_audit": ApiAuditTable;
  "egret.api_idempotency": ApiIdempotencyTable;
  "egret_read.checkpoints": CheckpointTable;
  "egret_read.runs": RunReadModel;
  "egret_read.deliveries": DeliveryReadModel;
  "egret_read.attempts": AttemptReadModel;
  "egret_read.batches": BatchReadModel;
  "egret_read.syncs": SyncReadModel;
  "egret_read.webhooks": WebhookReadModel;
  "egret_read.endpoints": EndpointReadModel;
  "egret_read.alerts": AlertReadModel;
  "egret_read.config_changes": ConfigChangeReadModel;
  "egret_read.refused_commands": RefusedCommandReadModel;
}

/** Our Postgres: Kysely for queries, the pool underneath for COPY and advisory locks. */
export interface OpenDatabase {
  db: Kysely<Database>;
  pool: pg.Pool;
  close(): Promise<void>;
}

const INT8_OID = 20;

/** Opens a pool on our Postgres. Nothing is connected until the first query. */
export function openDatabase(url: string, options: { maxConnections?: number } = {}): OpenDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 10,
    application_name: "egret",
    // No limit to the time of statements or of waits for locks: large comparisons take long, and whoever has a lock ends
    // or is noticed to be gone. What would be waited for in vain is noticed at both ends of each connection instead.
    Client: BoundedClient,
    // The pool waits for it, which its types do not say.
    onConnect: (client): unknown => noticeLoss(client, url),
    // Ids and counts stay below 2^53 (behaviour.md 1.1), so bigint is a number here and in JSON.
    types: {
      getTypeParser: (oid: number, format?: "text" | "binary") =>
        oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format),
    },
  });
  // An idle connection that the server ends is replaced at the next query; without a listener it would end us.
  pool.on("error", () => undefined);
  // The same for one that is in use: the query that meets the loss reports it, between queries nobody listens.
  pool.on("connect", (client) => void client.on("error", () => undefined));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  return { db, pool, close: () => db.destroy() };
}

/** @throws Unavailable when our Postgres does not answer, without user or password. */
export async function pingDatabase({ db }: Pick<OpenDatabase, "db">): Promise<void> {
  await sql`select 1`.execute(db).catch((cause: unknown) => {
    // Node joins the failures of several addresses in an error without a message of its own.
    const { message, code } = toError(cause) as NodeJS.ErrnoException;
    throw new Unavailable(`Egret's Postgres does not answer (${message || code}): check EGRET_DATABASE_URL`, {
      cause,
    });
  });
}
