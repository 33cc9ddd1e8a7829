/** A stored sync as a change would make it, so that it can be asked what its next run would do. */
import type { Kysely } from "kysely";
import {
  KEY_FIELD,
  type Mapping,
  type Operation,
  type Sync,
  type SyncObject,
} from "../domain/configuration.ts";
import { syncOptionsSchema } from "../domain/syncOptions.ts";
import type { Database } from "../projections/database.ts";
import type { ConfigItem } from "./configItem.ts";

/** Stands for an object that the change has yet to make. */
const NOT_THERE_YET = -1;

/** The sync as the items of its workspace would have it, with the ids that it keeps. */
export async function wantedSync(
  db: Kysely<Database>,
  items: readonly ConfigItem[],
  stored: Sync,
): Promise<Sync> {
  const itemOf = (kind: ConfigItem["kind"], name: unknown) =>
    items.find((item) => item.kind === kind && item.name === name);
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
