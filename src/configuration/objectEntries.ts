/** Stored objects turned back into the entries of egret.yaml, so that the checks of a file hold for the API too. */
import type { z } from "zod";
import type { Mapping, Operation } from "../domain/configuration.ts";
import { SYNC_OPTIONS } from "../domain/syncOptions.ts";
import type { ConfigItem } from "./configItem.ts";
import { stateSchemaOf } from "./configItem.ts";
import type { destinationSchema } from "./destinationSchema.ts";
import type { modelSchema, SectionName, sourceSchema, syncSchema, webhookSchema } from "./fileSchema.ts";

/** Entries as egret.yaml writes them: other objects by their names, secrets in clear text. Never logged. */
export interface EntryOf {
  source: z.input<typeof sourceSchema>;
  model: z.input<typeof modelSchema>;
  destination: z.input<typeof destinationSchema>;
  sync: Omit<z.input<typeof syncSchema>, "operation"> & { operation?: Operation | "create" };
  webhook: z.input<typeof webhookSchema>;
}

/** Kinds of objects that can be made and changed one by one. */
export type ObjectKind = keyof EntryOf;

/** The section of egret.yaml in which a kind stands. */
export const SECTION_OF = {
  source: "sources",
  model: "models",
  destination: "destinations",
  sync: "syncs",
  webhook: "webhooks",
} as const satisfies Record<ObjectKind, SectionName>;

/** The entry that would make this object. */
export function entryOf<K extends ObjectKind>(kind: K, item: Omit<ConfigItem, "kind">): EntryOf[K] {
  return withoutGaps(ENTRIES[kind](item)) as unknown as EntryOf[K];
}

type Fields = Record<string, unknown>;

const ENTRIES: Readonly<Record<ObjectKind, (item: Omit<ConfigItem, "kind">) => Fields>> = {
  source: ({ settings, secrets }) => {
    const schema = stateSchemaOf(settings);
    const engine =
      schema === null ? { sync_engine: "basic" } : { sync_engine: "advanced", state_schema: schema };
    return { type: settings["type"], url: secrets["url"], ...engine };
  },
  model: ({ settings: { source, query } }) => ({ source, query }),
  destination: ({ settings, secrets }) => {
    const { oauth_client_secret: clientSecret, ...open } = secrets;
    const oauth = settings["oauth"];
    if (typeof oauth !== "object" || oauth === null) return { ...settings, ...open };
    return { ...settings, ...open, oauth: { ...oauth, client_secret: clientSecret } };
  },
  sync: ({ settings }) => {
    const { label, source, model, table, destination, operation, key } = settings;
    const mappings = settings["mappings"] as readonly Mapping[];
    const options = Object.fromEntries(SYNC_OPTIONS.map((name) => [name, settings[name]]));
    return {
      label,
      ...(typeof model === "string" ? { model } : { table, source }),
      destination,
      operation,
      key,
      // Of a sync that follows every column an empty list says nothing; of another, that the key travels alone.
      mappings:
        mappings.length === 0 && settings["field_behavior"] === "sync_all_properties" ? undefined : mappings,
      ...options,
    };
  },
  webhook: ({ settings, secrets }) => ({ ...settings, tls: secrets["tls"] }),
};

/** Without what was left out: null stands for that at the top of an entry. */
function withoutGaps(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([name, value]) => value !== undefined && (value !== null || NULL_MEANS.has(name)),
    ),
  );
}

/** Where null is a value of its own: no limit, as against the usual one. */
const NULL_MEANS = new Set(["rate_limit_per_second", "requests_per_second"]);
