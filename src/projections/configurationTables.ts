/** The tables of configured objects as Kysely sees them. */
import type { ColumnType, Generated, JSONColumnType } from "kysely";
import type { Mapping } from "../domain/configuration.ts";

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
  /** What the API calls it; null: its name. */
  label: string | null;
  notification_emails: Generated<string[]>;
}

/** Who an object belongs to: `egret apply` leaves alone what the API made. */
export type ManagedBy = "file" | "api";

/** Of objects whose name can be a free text. */
interface Named {
  /** As people wrote it; null where there is only the short name. */
  label: string | null;
  managed_by: Generated<ManagedBy>;
}

/** What clients of the API send and read back, and nothing here uses. */
type Attributes = ColumnType<Record<string, unknown>, string | undefined, string>;

type ColumnList = ColumnType<{ name: string; type: string }[] | null, string | null | undefined, string>;

export interface SourceTable extends Configured, Named {
  workspace_id: number;
  name: string;
  type: string;
  settings: Json<Record<string, unknown>>;
  /** Encrypted by src/security/secretBox.ts. */
  secret: string;
  last_test_succeeded: boolean | null;
  last_tested_at: Timestamp | null;
}

export interface ModelTable extends Configured, Named {
  workspace_id: number;
  source_id: number;
  name: string;
  query: string;
  attributes: Attributes;
  /** As the source last described them; null until it did. */
  columns: ColumnList;
}

/** A table or view of a source, which keeps its id for ever. */
export interface SourceTableTable {
  id: Generated<number>;
  source_id: number;
  table_schema: string;
  table_name: string;
  /** As the source last described them; null until it did. */
  columns: ColumnList;
  /** Not there at the last refresh. */
  is_gone: Generated<boolean>;
  created_at: Timestamp;
}

export interface SourceRefreshTable {
  id: Generated<number>;
  source_id: number;
  model_id: number | null;
  table_id: number | null;
  ended_at: Timestamp;
  error: string | null;
}

export interface DestinationTable extends Configured, Named {
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
  /** Paused by an operator; `options` says whether egret.yaml pauses it. */
  paused: Generated<boolean>;
  managed_by: Generated<ManagedBy>;
  attributes: Attributes;
}

export interface WebhookTable extends Configured, Named {
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
