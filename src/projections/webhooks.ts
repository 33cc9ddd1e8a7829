/**
 * Read model of webhooks: the configuration last recorded, and when deliveries last went well or badly.
 *
 * The one table that both streams write. They are projected independently, so every write here gives the same row in
 * whichever order the streams come: configuration comes from the runs stream alone, and times only move one way.
 */
import type { Kysely, Selectable } from "kysely";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import { isConfigEvent } from "./configChanges.ts";
import type { Database } from "./database.ts";
import { isDeliveryEvent } from "./deliveryFold.ts";
import type { WebhookReadModel } from "./readModelTables.ts";
import { columnArrays, type ReadModelWriter, type Table, tableName, unnestRows } from "./tableWriter.ts";

/** A webhook as the read model has it; `deleted` also while only its deliveries are known. */
export type WebhookStatus = Selectable<WebhookReadModel>;

const TABLE = { name: "webhooks" };

const CONFIG_COLUMNS = {
  id: "bigint",
  workspace_id: "bigint",
  name: "text",
  settings: "jsonb",
  deleted: "boolean",
  created_at: "timestamptz",
  updated_at: "timestamptz",
} as const satisfies Table<Configured>["columns"];

type Configured = Omit<WebhookStatus, "last_success_at" | "last_failure_at">;

const HEALTH_COLUMNS = {
  id: "bigint",
  workspace_id: "bigint",
  first_seen_at: "timestamptz",
  last_success_at: "timestamptz",
  last_failure_at: "timestamptz",
} as const satisfies Table<Health>["columns"];

interface Health {
  id: number;
  workspace_id: number;
  first_seen_at: string;
  last_success_at: string | null;
  last_failure_at: string | null;
}

/** Projects what configuration changes and lifecycle deliveries say of webhooks. */
export async function projectWebhooks(
  writer: ReadModelWriter,
  events: readonly StoredEvent[],
): Promise<void> {
  const configured = new Map<number, Configured>();
  const health = new Map<number, Health>();
  for (const { event } of events) {
    noteConfiguration(configured, event);
    noteDelivery(health, event);
  }
  await writeConfigured(writer, sorted(configured));
  await writeHealth(writer, sorted(health));
}

/** Rows in the order of their ids: two streams that lock rows in the same order cannot deadlock. */
function sorted<Row extends { id: number }>(rows: Map<number, Row>): Row[] {
  return [...rows.values()].sort((a, b) => a.id - b.id);
}

function noteConfiguration(rows: Map<number, Configured>, event: AnyEvent): void {
  if (!isConfigEvent(event) || event.data.kind !== "webhook") return;
  const { object_id: id, workspace_id, name, settings } = event.data;
  const time = new Date(event.time);
  const before = rows.get(id)?.created_at ?? time;
  rows.set(id, {
    id,
    workspace_id,
    name,
    settings,
    deleted: event.type === "config.deleted",
    created_at: before < time ? before : time,
    updated_at: time,
  });
}

function noteDelivery(rows: Map<number, Health>, event: AnyEvent): void {
  if (!isDeliveryEvent(event) || event.data.target_kind !== "webhook") return;
  const { target_id: id, workspace_id } = event.data;
  const { time } = event;
  const row = rows.get(id) ?? {
    id,
    workspace_id,
    first_seen_at: time,
    last_success_at: null,
    last_failure_at: null,
  };
  if (time < row.first_seen_at) row.first_seen_at = time;
  if (event.type === "delivery.delivered") row.last_success_at = later(row.last_success_at, time);
  // A delivery that was dropped was not sent: that says nothing about the endpoint.
  else if (event.type !== "delivery.pending" && event.data.attempt !== null) {
    row.last_failure_at = later(row.last_failure_at, time);
  }
  rows.set(id, row);
}

/** Instants of one form compare as text. */
function later(a: string | null, b: string): string {
  return a === null || a < b ? b : a;
}

async function writeConfigured(writer: ReadModelWriter, rows: Configured[]): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(CONFIG_COLUMNS).join(", ");
  await writer.client.query(
    `insert into ${tableName(writer, TABLE)} as row (${columns})
     select ${columns} from ${unnestRows<Configured>(CONFIG_COLUMNS)}
     on conflict (id) do update set
       workspace_id = excluded.workspace_id, name = excluded.name, settings = excluded.settings,
       deleted = excluded.deleted, created_at = least(row.created_at, excluded.created_at),
       updated_at = excluded.updated_at`,
    columnArrays<Configured>(CONFIG_COLUMNS, rows),
  );
}

/** A delivery may be projected before its webhook's configuration: then a nameless row waits for it as deleted. */
async function writeHealth(writer: ReadModelWriter, rows: Health[]): Promise<void> {
  if (rows.length === 0) return;
  await writer.client.query(
    `insert into ${tableName(writer, TABLE)} as row
       (id, workspace_id, name, settings, deleted, created_at, updated_at, last_success_at, last_failure_at)
     select id, workspace_id, '', '{}', true, first_seen_at, first_seen_at, last_success_at, last_failure_at
     from ${unnestRows<Health>(HEALTH_COLUMNS)}
     on conflict (id) do update set
       created_at = least(row.created_at, excluded.created_at),
       last_success_at = greatest(row.last_success_at, excluded.last_success_at),
       last_failure_at = greatest(row.last_failure_at, excluded.last_failure_at),
       updated_at = case when row.name = '' then least(row.updated_at, excluded.updated_at) else row.updated_at end`,
    columnArrays<Health>(HEALTH_COLUMNS, rows),
  );
}

/** Webhooks that exist, by name. */
export async function listWebhooks(
  db: Kysely<Database>,
  wanted: { workspaceId?: number } = {},
): Promise<WebhookStatus[]> {
  let query = db.selectFrom("egret_read.webhooks").selectAll().where("deleted", "=", false);
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  return query.orderBy("workspace_id").orderBy("name").execute();
}
