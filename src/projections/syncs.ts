/** Read model of syncs: the configuration last recorded, the last run, and how it went. */
import type { Kysely, Selectable } from "kysely";
import type { AnyEvent, EgretEvent, StoredEvent } from "../domain/event.ts";
import { type ConfigEvent, isConfigEvent } from "./configChanges.ts";
import type { Database } from "./database.ts";
import type { SyncReadModel } from "./readModelTables.ts";
import { loadRows, type ReadModelWriter, type Table, writeRows } from "./tableWriter.ts";

/** A sync as the read model has it. */
export type SyncStatus = Selectable<SyncReadModel>;

type SyncEvent = ConfigEvent | EgretEvent<"sync.triggered"> | EgretEvent<"sync.completed">;

const SYNCS: Table<SyncStatus> = {
  name: "syncs",
  key: ["id"],
  columns: {
    id: "bigint",
    workspace_id: "bigint",
    name: "text",
    settings: "jsonb",
    status: "text",
    last_run_id: "bigint",
    last_run_at: "timestamptz",
    deleted: "boolean",
    created_at: "timestamptz",
    updated_at: "timestamptz",
  },
};

/**
 * The row of a sync after one more event. A run can be triggered before the outbox has told the log of its sync, so
 * `sync.triggered` makes a row too, with the name alone; undefined when there is nothing to make a row from.
 */
export function foldSync(sync: SyncStatus | undefined, event: SyncEvent): SyncStatus | undefined {
  const time = new Date(event.time);
  if (isConfigEvent(event)) {
    const { object_id: id, workspace_id, name, settings } = event.data;
    return {
      ...(sync ?? {
        status: "ready",
        last_run_id: null,
        last_run_at: null,
      }),
      id,
      workspace_id,
      name,
      settings,
      deleted: event.type === "config.deleted",
      created_at: event.type === "config.created" ? time : (sync?.created_at ?? time),
      updated_at: time,
    };
  }
  if (event.type === "sync.triggered") {
    const { sync_id: id, workspace_id, sync_name: name, sync_run_id: last_run_id } = event.data;
    const fresh = { id, workspace_id, name, settings: {}, status: "ready", deleted: false } as const;
    return { ...(sync ?? { ...fresh, created_at: time, updated_at: time }), last_run_id, last_run_at: time };
  }
  // A cancelled run says nothing about whether the sync works (behaviour.md 4.7).
  if (sync === undefined || event.data.canceled) return sync;
  return { ...sync, status: event.data.status === "ok" ? "up to date" : "failing" };
}

function syncIdOf(event: SyncEvent): number {
  return isConfigEvent(event) ? event.data.object_id : event.data.sync_id;
}

function isSyncEvent(event: AnyEvent): event is SyncEvent {
  if (isConfigEvent(event)) return event.data.kind === "sync";
  return event.type === "sync.triggered" || event.type === "sync.completed";
}

/** Projects what runs and configuration changes say of syncs. */
export async function projectSyncs(writer: ReadModelWriter, events: readonly StoredEvent[]): Promise<void> {
  const own = events.map(({ event }) => event).filter(isSyncEvent);
  if (own.length === 0) return;
  const syncs = await loadRows(writer, SYNCS, new Set(own.map(syncIdOf)));
  for (const event of own) {
    const sync = foldSync(syncs.get(syncIdOf(event)), event);
    if (sync !== undefined) syncs.set(sync.id, sync);
  }
  await writeRows(writer, SYNCS, [...syncs.values()]);
}

/** Syncs that exist, by name. */
export async function listSyncs(
  db: Kysely<Database>,
  wanted: { workspaceId?: number } = {},
): Promise<SyncStatus[]> {
  let query = db.selectFrom("egret_read.syncs").selectAll().where("deleted", "=", false);
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  return query.orderBy("workspace_id").orderBy("name").execute();
}

/** One sync, deleted ones included, or null when it is not known (yet). */
export async function getSync(db: Kysely<Database>, id: number): Promise<SyncStatus | null> {
  const sync = await db.selectFrom("egret_read.syncs").selectAll().where("id", "=", id).executeTakeFirst();
  return sync ?? null;
}
