/** Writes configured objects into our Postgres, each kind into its table; runs inside the transaction of the change. */
import { type Kysely, sql, type Transaction } from "kysely";
import type { ConfigKind } from "../domain/aggregate.ts";
import { KEY_FIELD, type Mapping } from "../domain/configuration.ts";
import { InvalidInput } from "../domain/errors.ts";
import { SYNC_OPTIONS } from "../domain/syncOptions.ts";
import type { ManagedBy } from "../projections/configurationTables.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { newWebhookSecret } from "../security/signature.ts";
import { deleteAlerts, reconcileAlerts } from "./alertConfigurations.ts";
import type { ConfigItem, StoredItem } from "./configItem.ts";
import { secretPurpose, tlsPurpose } from "./secretPurpose.ts";
import type { Column } from "./sourceChecks.ts";

/** What writing needs to know. */
export interface ItemWriter {
  trx: Transaction<Database>;
  box: SecretBox;
  workspaceId: number;
  /** Id of an object that stands already. */
  idOf(kind: ConfigKind, name: string): number;
}

const TABLES = {
  workspace: "egret.workspaces",
  source: "egret.sources",
  model: "egret.models",
  destination: "egret.destinations",
  sync: "egret.syncs",
  webhook: "egret.webhooks",
} as const;

/** What stands beside an object's own fields; what is left out stays as it is. */
export interface Upkeep {
  managedBy?: ManagedBy;
  /** Not of a sync, whose label is among its fields. */
  label?: string | null;
  /** Of a model or sync. */
  attributes?: Readonly<Record<string, unknown>>;
}

function upkeepColumns({ managedBy, label, attributes }: Upkeep): Record<string, unknown> {
  return {
    ...(managedBy === undefined ? {} : { managed_by: managedBy }),
    ...(label === undefined ? {} : { label }),
    ...(attributes === undefined ? {} : { attributes: JSON.stringify(attributes) }),
  };
}

/** Inserts an object; a webhook gets a new secret, which is in the answer and nowhere else readable. */
export async function createItem(
  writer: ItemWriter,
  item: ConfigItem,
  upkeep: Upkeep = {},
): Promise<{ id: number; webhookSecret: string | null }> {
  const { trx, box, workspaceId } = writer;
  let webhookSecret: string | null = null;
  const columns: Record<string, unknown> = {
    name: item.name,
    ...columnsOf(writer, item),
    ...upkeepColumns(upkeep),
  };
  if (item.kind !== "workspace") columns["workspace_id"] = workspaceId;
  if (item.kind === "webhook") {
    webhookSecret = newWebhookSecret();
    columns["secret"] = box.seal(secretPurpose("webhook", workspaceId, item.name), webhookSecret);
  }
  const names = Object.keys(columns).map((name) => sql.ref(name));
  const { rows } = await sql<{ id: number }>`
    insert into ${sql.table(TABLES[item.kind])} (${sql.join(names)})
    values (${sql.join(Object.values(columns))}) returning id`.execute(trx);
  const id = rows[0]?.id ?? 0;
  if (item.kind === "sync") {
    await reconcileAlerts(trx, { workspaceId, syncId: id, alerts: item.settings["alerts"] });
    await keepTable(writer, item);
  }
  return { id, webhookSecret };
}

/** Updates an object to the given version; a webhook keeps its secret. */
export async function updateItem(
  writer: ItemWriter,
  item: ConfigItem & Pick<StoredItem, "id" | "version">,
  upkeep: Upkeep = {},
): Promise<void> {
  const columns: Record<string, unknown> = {
    ...columnsOf(writer, item),
    ...(item.kind === "workspace" ? {} : upkeepColumns(upkeep)),
    version: item.version,
  };
  if (item.kind === "webhook") Object.assign(columns, switchColumns(item));
  const sets = Object.entries(columns).map(([name, value]) => sql`${sql.ref(name)} = ${value}`);
  await sql`update ${sql.table(TABLES[item.kind])} set ${sql.join(sets)}, updated_at = now() where id = ${item.id}`.execute(
    writer.trx,
  );
  if (item.kind === "sync") {
    const { trx, workspaceId } = writer;
    await reconcileAlerts(trx, { workspaceId, syncId: item.id, alerts: item.settings["alerts"] });
    await keepTable(writer, item);
  }
}

/** Keeps the columns of a model as its source described them. */
export async function keepColumns(
  db: Kysely<Database>,
  modelId: number,
  columns: readonly Column[],
): Promise<void> {
  await db
    .updateTable("egret.models")
    .set({ columns: JSON.stringify(columns) })
    .where("id", "=", modelId)
    .execute();
}

/** A table that a sync reads has an id from then on. */
async function keepTable({ trx, idOf }: ItemWriter, { settings }: ConfigItem): Promise<void> {
  const { source, table } = settings;
  if (typeof table !== "string") return;
  const [tableSchema = "", tableName = ""] = table.split(".");
  const wanted = {
    source_id: idOf("source", String(source)),
    table_schema: tableSchema,
    table_name: tableName,
  };
  await trx
    .insertInto("egret.source_tables")
    .values(wanted)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** A file that says `enabled` leaves disabled what was disabled elsewhere; one that disables takes that over. */
function switchColumns({ settings }: ConfigItem): Record<string, unknown> {
  if (settings["enabled"] === true) return { enabled: sql`disabled_reason is null` };
  return { enabled: false, disabled_at: null, disabled_reason: null };
}

/**
 * Deletes an object, and with a sync its state.
 * @throws InvalidInput when a run of the sync is under way.
 */
export async function deleteItem(trx: Transaction<Database>, item: StoredItem): Promise<void> {
  if (item.kind === "sync") await deleteSyncState(trx, item);
  await sql`delete from ${sql.table(TABLES[item.kind])} where id = ${item.id}`.execute(trx);
}

async function deleteSyncState(trx: Transaction<Database>, item: StoredItem): Promise<void> {
  // The row is made if there is none, so that a run which starts at this moment waits for us on its key.
  await trx
    .insertInto("egret.sync_states")
    .values({ sync_id: item.id, active_run_id: null, fingerprint: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const state = await trx
    .selectFrom("egret.sync_states")
    .select("active_run_id")
    .where("sync_id", "=", item.id)
    .forUpdate()
    .executeTakeFirst();
  const runId = state?.active_run_id ?? null;
  if (runId !== null) {
    const message = `run ${runId} of this sync is under way; wait until it has ended (egret run ${runId}), then apply again`;
    throw new InvalidInput(`sync ${item.name} cannot be deleted now; nothing was applied`, [
      { field: `syncs.${item.name}`, message },
    ]);
  }
  await sql`drop table if exists ${sql.id("egret_state", `rows_${item.id}`)}`.execute(trx);
  await sql`delete from egret.state_journal where sync_id = ${item.id}`.execute(trx);
  await trx.deleteFrom("egret.retry_keys").where("sync_id", "=", item.id).execute();
  await trx.deleteFrom("egret.sync_states").where("sync_id", "=", item.id).execute();
  await deleteAlerts(trx, item.id);
}

/** The columns that hold an object's settings and secrets. */
function columnsOf({ box, workspaceId, idOf }: ItemWriter, item: ConfigItem): Record<string, unknown> {
  const { kind, name, settings, secrets } = item;
  switch (kind) {
    case "workspace":
      return {};
    case "source": {
      const { type, ...open } = settings;
      const secret = box.seal(secretPurpose("source", workspaceId, name), String(secrets["url"] ?? ""));
      return { type, settings: JSON.stringify(open), secret };
    }
    case "model":
      return { source_id: idOf("source", String(settings["source"])), query: settings["query"] };
    case "destination": {
      const { type, ...open } = settings;
      const secret = box.seal(secretPurpose("destination", workspaceId, name), JSON.stringify(secrets));
      return { type, settings: JSON.stringify(open), secret };
    }
    case "sync":
      return syncColumns(settings, idOf);
    case "webhook": {
      const {
        description,
        endpoint,
        events,
        enabled,
        auto_disable_after_exhausted,
        disable_on_gone,
        honor_retry_after,
      } = settings;
      const own = secrets["tls"];
      const tls = own === undefined ? null : box.seal(tlsPurpose(workspaceId, name), JSON.stringify(own));
      const health = { auto_disable_after_exhausted, disable_on_gone, honor_retry_after };
      return { description, endpoint, events, enabled, tls, ...health };
    }
  }
}

function syncColumns(settings: ConfigItem["settings"], idOf: ItemWriter["idOf"]): Record<string, unknown> {
  const { label, source, model, table, destination, operation, key, mappings } = settings;
  const [tableSchema = null, tableName = null] = typeof table === "string" ? table.split(".") : [];
  const keyMapping: Mapping = { column: String(key), to: KEY_FIELD, key: true };
  return {
    label,
    source_id: idOf("source", String(source)),
    model_id: typeof model === "string" ? idOf("model", model) : null,
    table_schema: tableSchema,
    table_name: tableName,
    destination_id: idOf("destination", String(destination)),
    operation,
    mappings: JSON.stringify([keyMapping, ...(mappings as Mapping[])]),
    options: JSON.stringify(Object.fromEntries(SYNC_OPTIONS.map((name) => [name, settings[name]]))),
  };
}
