/** Reads what is configured, with secrets decrypted, as the objects that the rest of Egret works with. */
import { type Kysely, sql } from "kysely";
import {
  type Destination,
  endpointTls,
  httpRequestSecrets,
  type Mapping,
  mappingSchema,
  type Operation,
  type Source,
  type Sync,
  type SyncObject,
  type Webhook,
  webhookDestinationSecrets,
  webhookDestinationSettings,
} from "../domain/configuration.ts";
import { httpRequestSettings } from "../domain/httpRequestDestination.ts";
import { isLifecycleEvent } from "../domain/lifecycle.ts";
import { type SyncOptions, syncOptionsSchema } from "../domain/syncOptions.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { stateSchemaOf } from "./configItem.ts";
import { secretPurpose, tlsPurpose } from "./secretPurpose.ts";

type Db = Kysely<Database>;

/** The workspace of that name or id, or null. */
export async function findWorkspace(
  db: Db,
  nameOrId: string | number,
): Promise<{ id: number; name: string } | null> {
  const column = typeof nameOrId === "number" ? "id" : "name";
  const row = await db
    .selectFrom("egret.workspaces")
    .select(["id", "name"])
    .where(column, "=", nameOrId)
    .executeTakeFirst();
  return row ?? null;
}

/** A sync of a workspace by name or by id, a text of digits being an id; null when there is none. */
export async function findSync(
  db: Db,
  box: SecretBox,
  wanted: { workspaceId: number; nameOrId: string | number },
): Promise<Sync | null> {
  // Names begin with a letter. Past 15 digits no id exists, and the number would not be exact.
  const isId = /^\d{1,15}$/.test(String(wanted.nameOrId));
  const row = await db
    .selectFrom("egret.syncs")
    .select("id")
    .where("workspace_id", "=", wanted.workspaceId)
    .where(isId ? "id" : "name", "=", isId ? Number(wanted.nameOrId) : String(wanted.nameOrId))
    .executeTakeFirst();
  return row === undefined ? null : readSync(db, box, row.id);
}

/** A sync with its source, model or table, and destination; null when it was deleted. */
export async function readSync(db: Db, box: SecretBox, id: number): Promise<Sync | null> {
  const row = await db
    .selectFrom("egret.syncs as sync")
    .leftJoin("egret.models as model", "model.id", "sync.model_id")
    .selectAll("sync")
    .select(["model.name as model_name", "model.query as model_query"])
    .where("sync.id", "=", id)
    .executeTakeFirst();
  if (row === undefined) return null;
  const [source, destination] = await Promise.all([
    readSource(db, box, row.source_id),
    readDestination(db, box, row.destination_id),
  ]);
  // Both are referenced: they are gone only when the sync went with them in between.
  if (source === null || destination === null) return null;
  const object: SyncObject =
    row.model_id === null
      ? { type: "table", schema: row.table_schema ?? "", table: row.table_name ?? "" }
      : { type: "model", modelId: row.model_id, name: row.model_name ?? "", query: row.model_query ?? "" };
  const mappings: Mapping[] = row.mappings.map((mapping) => mappingSchema.parse(mapping));
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    name: row.name,
    label: row.label,
    object,
    operation: row.operation as Operation,
    mappings,
    options: withPause(syncOptionsSchema.parse(row.options), row.paused),
    source,
    destination,
  };
}

/** A sync rests when the file or an operator says so. */
function withPause(options: SyncOptions, isPausedByHand: boolean): SyncOptions {
  return { ...options, paused: options.paused || isPausedByHand };
}

/** A source with its address; null when it was deleted. */
export async function readSource(db: Db, box: SecretBox, id: number): Promise<Source | null> {
  const row = await db.selectFrom("egret.sources").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) return null;
  const url = box.open(secretPurpose("source", row.workspace_id, row.name), row.secret);
  const stateSchema = stateSchemaOf(row.settings);
  return { id: row.id, workspaceId: row.workspace_id, name: row.name, type: "postgres", url, stateSchema };
}

/** A destination with its secrets; null when it was deleted. */
export async function readDestination(db: Db, box: SecretBox, id: number): Promise<Destination | null> {
  const row = await db.selectFrom("egret.destinations").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) return null;
  const secrets: unknown = JSON.parse(
    box.open(secretPurpose("destination", row.workspace_id, row.name), row.secret),
  );
  const { id: destinationId, workspace_id: workspaceId, name, paused } = row;
  const common = { id: destinationId, workspaceId, name, paused };
  if (row.type === "http_request") {
    return {
      ...common,
      type: row.type,
      settings: httpRequestSettings.parse(row.settings),
      secrets: httpRequestSecrets.parse(secrets),
    };
  }
  return {
    ...common,
    type: "webhook",
    settings: webhookDestinationSettings.parse(row.settings),
    secrets: webhookDestinationSecrets.parse(secrets),
  };
}

/** A sync's `split_rejected_batches`; null when it was left out, or the sync was deleted. */
export async function readSplitOption(db: Db, syncId: number): Promise<boolean | null> {
  const row = await db
    .selectFrom("egret.syncs")
    .select("options")
    .where("id", "=", syncId)
    .executeTakeFirst();
  return row === undefined ? null : (syncOptionsSchema.parse(row.options).split_rejected_batches ?? null);
}

/** A webhook with its signing secret; null when it was deleted. */
export async function readWebhook(db: Db, box: SecretBox, id: number): Promise<Webhook | null> {
  const row = await db.selectFrom("egret.webhooks").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) return null;
  const purpose = secretPurpose("webhook", row.workspace_id, row.name);
  const overlaps = row.previous_secret_until !== null && row.previous_secret_until > new Date();
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    name: row.name,
    endpoint: row.endpoint,
    events: row.events.filter(isLifecycleEvent),
    enabled: row.enabled,
    createdAt: row.created_at,
    secret: box.open(purpose, row.secret),
    autoDisableAfterExhausted: row.auto_disable_after_exhausted,
    disableOnGone: row.disable_on_gone,
    honorRetryAfter: row.honor_retry_after,
    previousSecret: overlaps && row.previous_secret !== null ? box.open(purpose, row.previous_secret) : null,
    paused: row.paused,
    ...(row.tls === null
      ? {}
      : { tls: endpointTls.parse(JSON.parse(box.open(tlsPurpose(row.workspace_id, row.name), row.tls))) }),
  };
}

/** For each webhook that is there, what differs once it changed or its former secret ran out. */
export async function webhookStamps(db: Db, ids: number[]): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: number; stamp: string }>`
    select id, concat(xmin, previous_secret_until > now()) as stamp
    from egret.webhooks where id = any(${ids})`.execute(db);
  return new Map(rows.map(({ id, stamp }) => [id, stamp]));
}

/** For each destination that is there, what differs once it changed. */
export async function destinationStamps(db: Db, ids: number[]): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: number; stamp: string }>`
    select id, xmin::text as stamp from egret.destinations where id = any(${ids})`.execute(db);
  return new Map(rows.map(({ id, stamp }) => [id, stamp]));
}
