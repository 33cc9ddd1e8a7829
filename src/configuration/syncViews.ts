/** Syncs as they stand, with what they refer to by id, what they are watched for, and how their last run went. */
import { type Kysely, sql } from "kysely";
import { type Mapping, mappingSchema } from "../domain/configuration.ts";
import { nextTick } from "../domain/schedule.ts";
import { type SyncOptions, syncOptionsSchema } from "../domain/syncOptions.ts";
import type { ManagedBy } from "../projections/configurationTables.ts";
import type { Database } from "../projections/database.ts";
import { type AlertConfiguration, asAlertConfiguration } from "./alertConfigurations.ts";
import { tableId } from "./sourceObjects.ts";

/** What a sync reads. */
export type ViewedObject =
  | { kind: "model"; id: number; name: string; query: string; createdAt: Date; updatedAt: Date }
  | { kind: "table"; id: number; catalog: string | null; schema: string; table: string };

/** A sync for its readers. */
export interface SyncView {
  id: number;
  version: number;
  name: string;
  label: string | null;
  operation: string;
  mappings: Mapping[];
  options: SyncOptions;
  /** By its options or by hand. */
  paused: boolean;
  managedBy: ManagedBy;
  attributes: Record<string, unknown>;
  sourceId: number;
  object: ViewedObject;
  destination: { id: number; type: string };
  /** The sync after whose success it runs. */
  parentId: number | null;
  alerts: AlertConfiguration[];
  status: "ready" | "up to date" | "failing";
  lastRunId: number | null;
  lastRunAt: Date | null;
  nextRunAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

/** One sync of a workspace, or null. */
export async function readSyncView(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number; id: number },
): Promise<SyncView | null> {
  const rows = await selectViews(db, workspaceId).where("sync.id", "=", id).execute();
  const [view] = await asViews(db, rows);
  return view ?? null;
}

/** A page of a workspace's syncs in the order of ids, and how many there are; `afterId` is the last id of the page before. */
export async function pageOfSyncViews(
  db: Kysely<Database>,
  workspaceId: number,
  cut: { limit: number; offset: number; order: "asc" | "desc"; afterId: number | null },
): Promise<{ rows: SyncView[]; total: number }> {
  let query = selectViews(db, workspaceId).orderBy("sync.id", cut.order).limit(cut.limit).offset(cut.offset);
  if (cut.afterId !== null) query = query.where("sync.id", cut.order === "asc" ? ">" : "<", cut.afterId);
  const [rows, { total }] = await Promise.all([
    query.execute(),
    db
      .selectFrom("egret.syncs")
      .select(({ fn }) => fn.countAll<number>().as("total"))
      .where("workspace_id", "=", workspaceId)
      .executeTakeFirstOrThrow(),
  ]);
  return { rows: await asViews(db, rows), total };
}

function selectViews(db: Kysely<Database>, workspaceId: number) {
  return db
    .selectFrom("egret.syncs as sync")
    .innerJoin("egret.sources as source", "source.id", "sync.source_id")
    .innerJoin("egret.destinations as destination", "destination.id", "sync.destination_id")
    .leftJoin("egret.models as model", "model.id", "sync.model_id")
    .leftJoin("egret.source_tables as source_table", (join) =>
      join
        .onRef("source_table.source_id", "=", "sync.source_id")
        .onRef("source_table.table_schema", "=", "sync.table_schema")
        .onRef("source_table.table_name", "=", "sync.table_name"),
    )
    .leftJoin("egret.schedule_ticks as tick", "tick.sync_id", "sync.id")
    .leftJoin("egret_read.syncs as seen", "seen.id", "sync.id")
    .leftJoin("egret.syncs as parent", (join) =>
      join
        .onRef("parent.workspace_id", "=", "sync.workspace_id")
        .on(sql<boolean>`parent.name = sync.options->>'sync_sequence'`),
    )
    .selectAll("sync")
    .select(["source.settings as source_settings", "destination.type as destination_type"])
    .select(["model.name as model_name", "model.label as model_label", "model.query as model_query"])
    .select(["model.created_at as model_created_at", "model.updated_at as model_updated_at"])
    .select(["source_table.id as source_table_id", "parent.id as parent_id"])
    .select(["tick.counts_from", "tick.is_planned", "tick.next_tick_at"])
    .select(["seen.status", "seen.last_run_id", "seen.last_run_at"])
    .where("sync.workspace_id", "=", workspaceId);
}

type ViewRow = Awaited<ReturnType<ReturnType<typeof selectViews>["execute"]>>[number];

async function asViews(db: Kysely<Database>, rows: readonly ViewRow[]): Promise<SyncView[]> {
  const alerts = await alertsOf(
    db,
    rows.map(({ id }) => id),
  );
  return Promise.all(rows.map(async (row) => asView(row, await objectOf(db, row), alerts.get(row.id) ?? [])));
}

function asView(row: ViewRow, object: ViewedObject, alerts: AlertConfiguration[]): SyncView {
  const options = syncOptionsSchema.parse(row.options);
  const paused = options.paused || row.paused;
  return {
    id: row.id,
    version: row.version,
    name: row.name,
    label: row.label,
    operation: row.operation,
    mappings: row.mappings.map((mapping) => mappingSchema.parse(mapping)),
    options,
    paused,
    managedBy: row.managed_by,
    attributes: row.attributes,
    sourceId: row.source_id,
    object,
    destination: { id: row.destination_id, type: row.destination_type },
    parentId: row.parent_id,
    alerts,
    status: row.status ?? "ready",
    lastRunId: row.last_run_id,
    lastRunAt: row.last_run_at,
    nextRunAt: paused ? null : nextRunAt(options, row),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Edited a moment ago, or no scheduler runs: the same is worked out here. */
function nextRunAt({ schedule }: SyncOptions, row: ViewRow): Date | null {
  if (schedule === undefined) return null;
  if (row.is_planned === true) return row.next_tick_at;
  return row.counts_from === null ? null : nextTick(schedule, row.counts_from);
}

async function objectOf(db: Kysely<Database>, row: ViewRow): Promise<ViewedObject> {
  if (row.model_id !== null) {
    return {
      kind: "model",
      id: row.model_id,
      name: row.model_label ?? row.model_name ?? "",
      query: row.model_query ?? "",
      createdAt: row.model_created_at ?? row.created_at,
      updatedAt: row.model_updated_at ?? row.updated_at,
    };
  }
  const { source_id: sourceId, table_schema: schema, table_name: table } = row;
  const place = { schema: schema ?? "", table: table ?? "" };
  const { database } = row.source_settings;
  return {
    kind: "table",
    // One that a file named and nobody listed yet has none.
    id: row.source_table_id ?? (await tableId(db, { sourceId, ...place })),
    catalog: typeof database === "string" ? database : null,
    ...place,
  };
}

async function alertsOf(
  db: Kysely<Database>,
  syncIds: readonly number[],
): Promise<Map<number, AlertConfiguration[]>> {
  const found = new Map<number, AlertConfiguration[]>();
  if (syncIds.length === 0) return found;
  const rows = await db
    .selectFrom("egret.alert_configurations")
    .selectAll()
    .where("sync_id", "in", syncIds)
    .where("deleted_at", "is", null)
    .orderBy("id")
    .execute();
  for (const row of rows)
    found.set(row.sync_id, [...(found.get(row.sync_id) ?? []), asAlertConfiguration(row)]);
  return found;
}
