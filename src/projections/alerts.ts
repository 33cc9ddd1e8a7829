/** Read model of alerts: one row per episode, from its first raise to its resolution. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import type { AlertReadModel } from "./readModelTables.ts";
import { loadRows, type ReadModelWriter, type Table, writeRows } from "./tableWriter.ts";

/** An episode as the read model has it. */
export type Alert = Selectable<AlertReadModel>;

/** Events of alerts. */
type AlertEvent = Extract<AnyEvent, { type: `alert.${string}` }>;

const ALERTS: Table<Alert> = {
  name: "alerts",
  key: ["id"],
  columns: {
    id: "bigint",
    configuration_id: "bigint",
    workspace_id: "bigint",
    sync_id: "bigint",
    type: "text",
    state: "text",
    raised_run_id: "bigint",
    last_raised_run_id: "bigint",
    resolved_run_id: "bigint",
    times_raised: "integer",
    message: "text",
    details: "text",
    followup_url: "text",
    resolution: "text",
    resolved_message: "text",
    resolved_details: "text",
    raised_at: "timestamptz",
    last_raised_at: "timestamptz",
    resolved_at: "timestamptz",
    updated_at: "timestamptz",
  },
};

function isAlertEvent(event: AnyEvent): event is AlertEvent {
  return event.type.startsWith("alert.");
}

/** The row of an episode after one more event; undefined for the end of one whose beginning the log no longer holds. */
export function foldAlert(before: Alert | undefined, event: AlertEvent): Alert | undefined {
  const time = new Date(event.time);
  if (event.type === "alert.resolved") {
    if (before === undefined) return undefined;
    const { sync_run_id, reason, message, details } = event.data;
    return {
      ...before,
      state: "resolved",
      resolved_run_id: sync_run_id,
      resolution: reason,
      resolved_message: message,
      resolved_details: details,
      resolved_at: time,
      updated_at: time,
    };
  }
  const { data } = event;
  const isOver = data.fact === "moment.came";
  return {
    id: data.alert_instance_id,
    configuration_id: data.alert_id,
    workspace_id: data.workspace_id,
    sync_id: data.sync_id,
    type: data.alert_type,
    state: isOver ? "resolved" : "open",
    raised_run_id: before?.raised_run_id ?? data.sync_run_id,
    last_raised_run_id: data.sync_run_id,
    resolved_run_id: isOver ? data.sync_run_id : null,
    times_raised: data.times,
    message: data.message,
    details: data.details,
    followup_url: data.followup_url,
    resolution: isOver ? "moment" : null,
    resolved_message: null,
    resolved_details: null,
    raised_at: before?.raised_at ?? time,
    last_raised_at: time,
    resolved_at: isOver ? time : null,
    updated_at: time,
  };
}

/** Projects what the log says of alerts. */
export async function projectAlerts(writer: ReadModelWriter, events: readonly StoredEvent[]): Promise<void> {
  const own = events.map(({ event }) => event).filter(isAlertEvent);
  if (own.length === 0) return;
  const alerts = await loadRows(writer, ALERTS, new Set(own.map(({ data }) => data.alert_instance_id)));
  for (const event of own) {
    const alert = foldAlert(alerts.get(event.data.alert_instance_id), event);
    if (alert !== undefined) alerts.set(alert.id, alert);
  }
  await writeRows(writer, ALERTS, [...alerts.values()]);
}

/** An episode with the name of its sync, which may be deleted by now. */
export type ListedAlert = Alert & { sync_name: string | null };

const listed = (db: Kysely<Database>) =>
  db
    .selectFrom("egret_read.alerts as alert")
    .leftJoin("egret_read.syncs as sync", "sync.id", "alert.sync_id")
    .selectAll("alert")
    .select("sync.name as sync_name");

/** Episodes, newest first; `before` is the id of the last one of the page before. */
export async function listAlerts(
  db: Kysely<Database>,
  wanted: { workspaceId?: number; syncId?: number; isOpen?: boolean; before?: number; limit: number },
): Promise<ListedAlert[]> {
  let query = listed(db);
  if (wanted.workspaceId !== undefined) query = query.where("alert.workspace_id", "=", wanted.workspaceId);
  if (wanted.syncId !== undefined) query = query.where("alert.sync_id", "=", wanted.syncId);
  if (wanted.isOpen === true) query = query.where("alert.state", "=", "open");
  if (wanted.before !== undefined) query = query.where("alert.id", "<", wanted.before);
  return query.orderBy("alert.id", "desc").limit(wanted.limit).execute();
}

/** Which episodes of a workspace, and where the page is cut: behind an id, else behind `offset` of them. */
export interface WantedAlerts {
  workspaceId: number;
  syncId?: number | undefined;
  state?: Alert["state"] | undefined;
  limit: number;
  offset: number;
  order: "asc" | "desc";
  afterId: number | null;
}

/** A page of episodes, and how many there are in all. */
export async function pageOfAlerts(
  db: Kysely<Database>,
  { workspaceId, syncId, state, limit, offset, order, afterId }: WantedAlerts,
): Promise<{ rows: ListedAlert[]; total: number }> {
  let query = listed(db).where("alert.workspace_id", "=", workspaceId);
  if (syncId !== undefined) query = query.where("alert.sync_id", "=", syncId);
  if (state !== undefined) query = query.where("alert.state", "=", state);
  const counted = query.clearSelect().select(({ fn }) => fn.countAll<number>().as("total"));
  const page = afterId === null ? query : query.where("alert.id", order === "desc" ? "<" : ">", afterId);
  const [rows, { total }] = await Promise.all([
    page.orderBy("alert.id", order).limit(limit).offset(offset).execute(),
    counted.executeTakeFirstOrThrow(),
  ]);
  return { rows, total };
}

/** One episode, or null when no such one is known (yet). */
export async function getAlert(db: Kysely<Database>, id: number): Promise<ListedAlert | null> {
  return (await listed(db).where("alert.id", "=", id).executeTakeFirst()) ?? null;
}

/** How many are open, by type. */
export async function countOpenAlerts(db: Kysely<Database>): Promise<Map<string, number>> {
  const { rows } = await sql<{ type: string; count: number }>`
    select type, count(*)::integer as count from egret_read.alerts where state = 'open' group by type`.execute(
    db,
  );
  return new Map(rows.map(({ type, count }) => [type, count]));
}
