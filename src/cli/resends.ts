/** What applying a plan makes the next runs send again: told before it is applied. */
import type { Kysely } from "kysely";
import type { ConfigItem } from "../configuration/configItem.ts";
import type { Plan } from "../configuration/plan.ts";
import { readSync } from "../configuration/store.ts";
import {
  KEY_FIELD,
  type Mapping,
  type Operation,
  type Sync,
  type SyncObject,
} from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import { syncOptionsSchema } from "../domain/syncOptions.ts";
import { compileSync } from "../engine/compileSync.ts";
import { PREVIEW_LIMITS } from "../engine/preview.ts";
import { countRemembered } from "../engine/remembered.ts";
import { resolveRun } from "../engine/syncState.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";

/** A sync whose next run sends rows again that were accepted before. */
export interface Resend {
  sync: string;
  /** Codes of behaviour.md 2.7. */
  reasons: string[];
  /** Null: every row of the source, however many they are. */
  rows: number | null;
}

/** Stands for an object that the plan has yet to make. */
const NOT_THERE_YET = -1;

/** The syncs of a plan that have run before and whose next run is a full one because of a change in them. */
export async function resendsOf(
  { db, box }: { db: Kysely<Database>; box: SecretBox },
  plan: Plan,
): Promise<Resend[]> {
  const changed = plan.changes.filter(({ kind, action }) => kind === "sync" && action === "update");
  const found: (Resend | null)[] = [];
  for (const { name } of changed) found.push(await resendOf({ db, box }, plan, name));
  return found.filter((resend) => resend !== null);
}

async function resendOf(
  { db, box }: { db: Kysely<Database>; box: SecretBox },
  plan: Plan,
  name: string,
): Promise<Resend | null> {
  const row = await db
    .selectFrom("egret.syncs as sync")
    .innerJoin("egret.workspaces as workspace", "workspace.id", "sync.workspace_id")
    .select("sync.id")
    .where("workspace.name", "=", plan.workspace)
    .where("sync.name", "=", name)
    .executeTakeFirst();
  const stored = row === undefined ? null : await readSync(db, box, row.id);
  if (stored === null) return null;
  const sync = await wantedSync(db, plan, stored);
  try {
    const compiled = await compileSync(sync, PREVIEW_LIMITS);
    const { fullSync, reasons, beginsAnew } = await resolveRun(db, sync, compiled, false);
    if (!fullSync || reasons.includes("first_run")) return null;
    return { sync: name, reasons, rows: beginsAnew ? null : await countRemembered(db, sync.id) };
  } catch (error) {
    // What is wrong with it is said by the plan's own checks, or by its next run.
    if (error instanceof RunFailure) return null;
    throw error;
  }
}

/** The sync as it would be, with the ids that it keeps. */
async function wantedSync(db: Kysely<Database>, plan: Plan, stored: Sync): Promise<Sync> {
  const itemOf = (kind: ConfigItem["kind"], name: unknown) =>
    plan.items.find((item) => item.kind === kind && item.name === name);
  const {
    label: _label,
    source,
    model,
    table,
    destination,
    operation,
    key,
    mappings,
    ...options
  } = itemOf("sync", stored.name)?.settings ?? {};
  const keyMapping: Mapping = { column: String(key), to: KEY_FIELD, key: true };
  const [schema = "", tableName = ""] = typeof table === "string" ? table.split(".") : [];
  const idOf = async (kind: "model" | "destination", name: string) => {
    const found = await db
      .selectFrom(kind === "model" ? "egret.models" : "egret.destinations")
      .select("id")
      .where("workspace_id", "=", stored.workspaceId)
      .where("name", "=", name)
      .executeTakeFirst();
    return found?.id ?? NOT_THERE_YET;
  };
  const object: SyncObject =
    typeof model === "string"
      ? {
          type: "model",
          modelId: await idOf("model", model),
          name: model,
          query: String(itemOf("model", model)?.settings["query"] ?? ""),
        }
      : { type: "table", schema, table: tableName };
  return {
    ...stored,
    operation: operation as Operation,
    mappings: [keyMapping, ...(mappings as Mapping[])],
    options: syncOptionsSchema.parse(options),
    object,
    source: {
      ...stored.source,
      name: String(source),
      url: String(itemOf("source", source)?.secrets["url"] ?? stored.source.url),
    },
    destination: { ...stored.destination, id: await idOf("destination", String(destination)) },
  };
}
