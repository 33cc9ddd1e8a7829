/** The configuration of one workspace as it stands in our Postgres, in the form that can be compared with a file. */
import type { Kysely, Selectable } from "kysely";
import type { EndpointTls, Mapping } from "../domain/configuration.ts";
import { syncOptionsSchema } from "../domain/syncOptions.ts";
import type { WebhookTable } from "../projections/configurationTables.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { type StoredItem, sourceSettings, stateSchemaOf } from "./configItem.ts";
import { secretPurpose, tlsPurpose } from "./secretPurpose.ts";

/** Everything configured in a workspace, by its name or id, the workspace itself first, each kind in the order of its ids; empty when there is none. */
export async function readStoredItems(
  db: Kysely<Database>,
  box: SecretBox,
  workspace: string | number,
): Promise<StoredItem[]> {
  const row = await db
    .selectFrom("egret.workspaces")
    .selectAll()
    .where(typeof workspace === "number" ? "id" : "name", "=", workspace)
    .executeTakeFirst();
  if (row === undefined) return [];
  const { id, name, version } = row;
  return [
    { kind: "workspace", id, version, name, settings: {}, secrets: {}, ...FROM_FILE },
    ...(await readSources(db, box, id)),
    ...(await readModels(db, id)),
    ...(await readDestinations(db, box, id)),
    ...(await readSyncs(db, id)),
    ...(await readWebhooks(db, box, id)),
  ];
}

/** Of what no API can have made. */
const FROM_FILE = { managedBy: "file", label: null, attributes: {} } as const;

async function readSources(db: Kysely<Database>, box: SecretBox, workspaceId: number): Promise<StoredItem[]> {
  const rows = await db
    .selectFrom("egret.sources")
    .selectAll()
    .where("workspace_id", "=", workspaceId)
    .orderBy("id")
    .execute();
  return rows.map(({ id, version, name, type, secret, settings: stored, label, managed_by }) => {
    const url = box.open(secretPurpose("source", workspaceId, name), secret);
    return {
      kind: "source",
      id,
      version,
      name,
      settings: sourceSettings(type, url, stateSchemaOf(stored)),
      secrets: { url },
      managedBy: managed_by,
      label,
      attributes: {},
    };
  });
}

async function readModels(db: Kysely<Database>, workspaceId: number): Promise<StoredItem[]> {
  const rows = await db
    .selectFrom("egret.models as model")
    .innerJoin("egret.sources as source", "source.id", "model.source_id")
    .select(["model.id", "model.version", "model.name", "model.query", "source.name as source"])
    .select(["model.label", "model.managed_by", "model.attributes"])
    .where("model.workspace_id", "=", workspaceId)
    .orderBy("model.id")
    .execute();
  return rows.map(({ id, version, name, query, source, managed_by: managedBy, label, attributes }) => ({
    kind: "model",
    id,
    version,
    name,
    settings: { source, query },
    secrets: {},
    managedBy,
    label,
    attributes,
  }));
}

async function readDestinations(
  db: Kysely<Database>,
  box: SecretBox,
  workspaceId: number,
): Promise<StoredItem[]> {
  const rows = await db
    .selectFrom("egret.destinations")
    .selectAll()
    .where("workspace_id", "=", workspaceId)
    .orderBy("id")
    .execute();
  return rows.map(({ id, version, name, type, settings, secret, label, managed_by: managedBy }) => ({
    kind: "destination",
    id,
    version,
    name,
    settings: { type, ...settings },
    secrets: JSON.parse(box.open(secretPurpose("destination", workspaceId, name), secret)) as Record<
      string,
      string
    >,
    managedBy,
    label,
    attributes: {},
  }));
}

async function readSyncs(db: Kysely<Database>, workspaceId: number): Promise<StoredItem[]> {
  const rows = await db
    .selectFrom("egret.syncs as sync")
    .innerJoin("egret.sources as source", "source.id", "sync.source_id")
    .leftJoin("egret.models as model", "model.id", "sync.model_id")
    .innerJoin("egret.destinations as destination", "destination.id", "sync.destination_id")
    .select(["sync.id", "sync.version", "sync.name", "sync.label", "sync.operation", "sync.mappings"])
    .select(["sync.options", "sync.managed_by", "sync.attributes"])
    .select(["sync.table_schema", "sync.table_name"])
    .select(["source.name as source", "model.name as model", "destination.name as destination"])
    .where("sync.workspace_id", "=", workspaceId)
    .orderBy("sync.id")
    .execute();
  return rows.map(({ id, version, name, table_schema, table_name, mappings, ...sync }) => ({
    kind: "sync",
    id,
    version,
    name,
    settings: {
      label: sync.label,
      source: sync.source,
      model: sync.model,
      table: table_name === null ? null : `${table_schema}.${table_name}`,
      destination: sync.destination,
      operation: sync.operation,
      key: keyOf(mappings),
      mappings: mappings.filter((mapping) => !isKey(mapping)),
      ...syncOptionsSchema.parse(sync.options),
    },
    secrets: {},
    managedBy: sync.managed_by,
    label: null,
    attributes: sync.attributes,
  }));
}

const isKey = (mapping: Mapping): boolean => "column" in mapping && mapping.key === true;

function keyOf(mappings: readonly Mapping[]): string | null {
  const key = mappings.find(isKey);
  return key !== undefined && "column" in key ? key.column : null;
}

async function readWebhooks(
  db: Kysely<Database>,
  box: SecretBox,
  workspaceId: number,
): Promise<StoredItem[]> {
  const rows = await db
    .selectFrom("egret.webhooks")
    .selectAll()
    .where("workspace_id", "=", workspaceId)
    .orderBy("id")
    .execute();
  return rows.map((row) => {
    const tls = row.tls === null ? null : box.open(tlsPurpose(workspaceId, row.name), row.tls);
    return webhookItem(row, tls === null ? {} : { tls: JSON.parse(tls) as EndpointTls });
  });
}

/**
 * A webhook's row as an item. One that was disabled elsewhere than in egret.yaml stands in its settings as the file
 * left it, enabled: so a file that did not change finds nothing to change, and does not enable it again.
 */
export function webhookItem(row: Selectable<WebhookTable>, secrets: StoredItem["secrets"]): StoredItem {
  const { id, version, name, description, endpoint, events, enabled } = row;
  const { auto_disable_after_exhausted, disable_on_gone, honor_retry_after, disabled_at, disabled_reason } =
    row;
  const isElsewhere = disabled_at !== null && disabled_reason !== null;
  return {
    kind: "webhook",
    id,
    version,
    name,
    settings: {
      description,
      endpoint,
      events,
      enabled: enabled || isElsewhere,
      auto_disable_after_exhausted,
      disable_on_gone,
      honor_retry_after,
    },
    secrets,
    managedBy: row.managed_by,
    label: row.label,
    attributes: {},
    ...(isElsewhere ? { disabled: { at: disabled_at, reason: disabled_reason } } : {}),
  };
}
