/** Read model of configuration changes: who changed what and when, for auditors. */
import type { Kysely, Selectable } from "kysely";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import type { ConfigChangeReadModel } from "./readModelTables.ts";
import { type ReadModelWriter, type Table, writeRows } from "./tableWriter.ts";

/** A configuration change as the read model has it. */
export type ConfigChange = Selectable<ConfigChangeReadModel>;

/** Events of configured objects. */
export type ConfigEvent = Extract<AnyEvent, { type: `config.${string}` }>;

const CONFIG_CHANGES: Table<ConfigChange> = {
  name: "config_changes",
  key: ["event_id"],
  columns: {
    event_id: "text",
    workspace_id: "bigint",
    kind: "text",
    object_id: "bigint",
    change: "text",
    version: "integer",
    name: "text",
    actor: "text",
    settings: "jsonb",
    occurred_at: "timestamptz",
  },
};

const CHANGE = {
  "config.created": "created",
  "config.updated": "updated",
  "config.deleted": "deleted",
} as const;

/** True for a change of a configured object. */
export function isConfigEvent(event: AnyEvent): event is ConfigEvent {
  return event.type.startsWith("config.");
}

/** Projects each change as a row of its own. */
export async function projectConfigChanges(
  writer: ReadModelWriter,
  events: readonly StoredEvent[],
): Promise<void> {
  const rows = events
    .map(({ event }) => event)
    .filter(isConfigEvent)
    .map((event): ConfigChange => {
      const { workspace_id, kind, object_id, name, actor, settings } = event.data;
      return {
        event_id: event.id,
        workspace_id,
        kind,
        object_id,
        name,
        actor,
        settings,
        change: CHANGE[event.type],
        version: event.version,
        occurred_at: new Date(event.time),
      };
    });
  await writeRows(writer, CONFIG_CHANGES, rows, "leave");
}

/** Changes, newest first. */
export async function listConfigChanges(
  db: Kysely<Database>,
  wanted: { workspaceId?: number; kind?: string; objectId?: number; limit: number },
): Promise<ConfigChange[]> {
  let query = db.selectFrom("egret_read.config_changes").selectAll();
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  if (wanted.kind !== undefined) query = query.where("kind", "=", wanted.kind);
  if (wanted.objectId !== undefined) query = query.where("object_id", "=", wanted.objectId);
  return query.orderBy("occurred_at", "desc").orderBy("event_id", "desc").limit(wanted.limit).execute();
}
