/** Our Postgres: the tables as Kysely sees them, and how a connection pool to them is opened. */
import { type ColumnType, type Generated, type JSONColumnType, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import type { Mapping } from "../domain/configuration.ts";
import { toError, Unavailable } from "../domain/errors.ts";
import type { ReplayWanted } from "../domain/replay.ts";
import type { ExchangeTable } from "./exchangeDays.ts";
import type {
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

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type Json<T extends object> = JSONColumnType<T, string, string>;

interface Configured {
  id: Generated<number>;
  version: Generated<number>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface WorkspaceTable extends Configured {
  name: string;
}

export interface SourceTable extends Configured {
  workspace_id: number;
  name: string;
  type: string;
  settings: Json<Record<string, unknown>>;
  /** Encrypted by src/security/secretBox.ts. */
  secret: string;
}

export interface ModelTable extends Configured {
  workspace_id: number;
  source_id: number;
  name: string;
  query: string;
}

export interface DestinationTable extends Configured {
  workspace_id: number;
  name: string;
  type: string;
  settings: Json<Record<string, unknown>>;
  /** Encrypted by src/security/secretBox.ts. */
  secret: string;
  last_test_succeeded: boolean | null;
  last_tested_at: Timestamp | null;
  paused: Generated<boolean>;
}

export interface SyncTable extends Configured {
  workspace_id: number;
  name: string;
  label: string | null;
  source_id: number;
  model_id: number | null;
  table_schema: string | null;
  table_name: string | null;
  destination_id: number;
  operation: string;
  mappings: Json<Mapping[]>;
  options: ColumnType<Record<string, unknown>, string | undefined, string>;
}

export interface WebhookTable extends Configured {
  workspace_id: number;
  name: string;
  description: string | null;
  endpoint: string;
  events: string[];
  enabled: Generated<boolean>;
  /** Null: never disabled for lost deliveries. */
  auto_disable_after_exhausted: number | null;
  disable_on_gone: Generated<boolean>;
  honor_retry_after: Generated<boolean>;
  /** When and why it was disabled elsewhere than in egret.yaml; both null otherwise. */
  disabled_at: Timestamp | null;
  disabled_reason: "gone" | "exhausted" | "operator" | null;
  /** Encrypted by src/security/secretBox.ts. */
  secret: string;
  paused: Generated<boolean>;
  /** The secret before the last rotation, which signs too until then. */
  previous_secret: string | null;
  previous_secret_until: Timestamp | null;
  /** Settings of its TLS connections, encrypted like its secret; null for none. */
  tls: string | null;
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
}

export interface SyncStateTable {
  sync_id: number;
  active_run_id: number | null;
  fingerprint: string | null;
}

export type BatchOutcome = "accepted" | "rejected" | "unavailable" | "dropped";

export interface BatchTable {
  run_id: number;
  batch_no: number;
  sync_id: number;
  destination_id: number;
  records: number;
  body: Buffer | null;
  body_sha256: string;
  keys: string[] | null;
  hashes: string[] | null;
  outcome: BatchOutcome | null;
  status_message: string | null;
  settled_at: Timestamp | null;
}

export interface PlanTable {
  run_id: number;
  source_record_count: number;
  updates: number;
  invalids: number;
  batches: number;
}

export interface InvalidRowTable {
  run_id: number;
  identifier: string | null;
  status: "NULL" | "DUPLICATE" | "INVALID";
  rows: number;
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
  "egret.destinations": DestinationTable;
  "egret.syncs": SyncTable;
  "egret.webhooks": WebhookTable;
  "egret.outbox": OutboxTable;
  "egret.accepted_commands": AcceptedCommandTable;
  "egret.sync_states": SyncStateTable;
  "egret.batches": BatchTable;
  "egret.plans": PlanTable;
  "egret.invalid_rows": InvalidRowTable;
  "egret.replays": ReplayTable;
  "egret.exchanges": ExchangeTable;
  "egret_read.checkpoints": CheckpointTable;
  "egret_read.runs": RunReadModel;
  "egret_read.deliveries": DeliveryReadModel;
  "egret_read.attempts": AttemptReadModel;
  "egret_read.batches": BatchReadModel;
  "egret_read.syncs": SyncReadModel;
  "egret_read.webhooks": WebhookReadModel;
  "egret_read.endpoints": EndpointReadModel;
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
