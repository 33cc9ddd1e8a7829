/** Configured objects in one form, whether declared in a file or read from our Postgres, so that they can be compared. */
import type { ConfigKind } from "../domain/aggregate.ts";
import type { Mapping } from "../domain/configuration.ts";
import type { ManagedBy } from "../projections/configurationTables.ts";
import { redactUrl } from "../security/redact.ts";
import type { EgretFile } from "./egretFile.ts";

/** Kinds in an order in which each refers only to those before it. */
export const KINDS = [
  "workspace",
  "source",
  "model",
  "destination",
  "sync",
  "webhook",
] as const satisfies ConfigKind[];

/** One configured object. Holds decrypted secrets: never logged. */
export interface ConfigItem {
  kind: ConfigKind;
  name: string;
  /** Fields as egret.yaml names them; other objects by name; no secrets. */
  settings: Readonly<Record<string, unknown>>;
  secrets: Readonly<Record<string, string | Readonly<Record<string, string | undefined>> | undefined>>;
}

/** A configured object that stands in our Postgres. */
export interface StoredItem extends ConfigItem {
  id: number;
  version: number;
  managedBy: ManagedBy;
  /** The name as people wrote it through the API, where there is one; that of a sync is in its settings. */
  label: string | null;
  /** What clients of the API keep with it: of models and syncs. */
  attributes: Readonly<Record<string, unknown>>;
  /** A webhook that was disabled elsewhere than in egret.yaml, whose settings say `enabled` all the same. */
  disabled?: DisabledElsewhere;
}

/** When and why a webhook was disabled: by what its endpoint did, or by an operator. */
export interface DisabledElsewhere {
  at: Date;
  reason: "gone" | "exhausted" | "operator";
}

/** A field that differs. Of a secret only that it does. */
export type FieldChange =
  | { field: string; secret: true }
  | { field: string; secret: false; before: unknown; after: unknown };

/** What happens to one object. */
export interface Change {
  action: "create" | "update" | "delete" | "unchanged";
  kind: ConfigKind;
  name: string;
  /** Only for an update. */
  fields: FieldChange[];
  /** The API made it; from now on it is the file's. */
  takesOver?: true;
}

/** The settings as an event or a terminal may show them: addresses without what could be a token. */
export function shownSettings(settings: ConfigItem["settings"]): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(settings)) shown[field] = shownValue(field, value);
  return shown;
}

function shownValue(field: string, value: unknown): unknown {
  return (field === "url" || field === "endpoint") && typeof value === "string" ? redactUrl(value) : value;
}

/** What the file declares; `mappings` holds each sync's mappings without the key, by the sync's name. */
export function itemsOfFile(
  file: EgretFile,
  mappings: ReadonlyMap<string, readonly Mapping[]>,
): ConfigItem[] {
  const plain = { secrets: {} };
  return [
    { kind: "workspace", name: file.workspace, settings: {}, ...plain },
    ...file.sources.map(({ name, type, url, stateSchema = null }) => ({
      kind: "source" as const,
      name,
      settings: sourceSettings(type, url, stateSchema),
      secrets: { url },
    })),
    ...file.models.map(({ name, source, query }) => ({
      kind: "model" as const,
      name,
      settings: { source, query },
      ...plain,
    })),
    ...file.destinations.map(({ name, type, settings, secrets }) => ({
      kind: "destination" as const,
      name,
      settings: { type, ...settings },
      secrets: { ...secrets },
    })),
    ...file.syncs.map(({ name, label, source, object, destination, operation, key, options }) => ({
      kind: "sync" as const,
      name,
      settings: {
        label,
        source,
        model: object.type === "model" ? object.model : null,
        table: object.type === "table" ? `${object.schema}.${object.table}` : null,
        destination,
        operation,
        key,
        mappings: mappings.get(name) ?? [],
        ...options,
      },
      ...plain,
    })),
    ...file.webhooks.map(({ name, description, endpoint, events, enabled, tls, ...webhook }) => ({
      kind: "webhook" as const,
      name,
      settings: {
        description,
        endpoint,
        events,
        enabled,
        auto_disable_after_exhausted: webhook.autoDisableAfterExhausted,
        disable_on_gone: webhook.disableOnGone,
        honor_retry_after: webhook.honorRetryAfter,
      },
      secrets: tls === undefined ? {} : { tls },
    })),
  ];
}

/** What may be shown of a source's address: everything but user, password and options. */
export function sourceSettings(
  type: string,
  url: string,
  stateSchema: string | null,
): Record<string, unknown> {
  const { hostname, port, pathname } = new URL(url);
  return {
    type,
    host: hostname,
    port: Number(port === "" ? "5432" : port),
    database: pathname.slice(1),
    ...(stateSchema === null ? {} : { sync_engine: "advanced", state_schema: stateSchema }),
  };
}

/** Schema of a source in which the states of its syncs stand, from its settings; null: they stand in our Postgres. */
export function stateSchemaOf(settings: Record<string, unknown>): string | null {
  return settings["sync_engine"] === "advanced" ? String(settings["state_schema"]) : null;
}

/**
 * What turns the stored objects into those that a file wants, in the order in which it can be done. What the API made
 * stays as it is, unless the file wants one of that name: then it becomes the file's.
 */
export function changesBetween(stored: readonly StoredItem[], wanted: readonly ConfigItem[]): Change[] {
  const key = (item: ConfigItem): string => `${item.kind} ${item.name}`;
  const before = new Map(stored.map((item) => [key(item), item]));
  const after = new Set(wanted.map(key));
  const changes: Change[] = [];
  for (const kind of KINDS) {
    for (const item of wanted.filter((candidate) => candidate.kind === kind)) {
      const old = before.get(key(item));
      const fields = old === undefined ? [] : changedFields(old, item);
      const takesOver = old?.managedBy === "api";
      const isUnchanged = fields.length === 0 && !takesOver;
      const action = old === undefined ? "create" : isUnchanged ? "unchanged" : "update";
      changes.push({ action, kind, name: item.name, fields, ...(takesOver ? { takesOver } : {}) });
    }
  }
  for (const kind of KINDS.toReversed()) {
    const isGone = (item: StoredItem): boolean => item.managedBy === "file" && !after.has(key(item));
    for (const { name } of stored.filter((item) => item.kind === kind && isGone(item))) {
      changes.push({ action: "delete", kind, name, fields: [] });
    }
  }
  return changes;
}

/** The fields in which one object differs from another of its kind. */
export function changedFields(before: ConfigItem, after: ConfigItem): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const field of new Set([...Object.keys(before.settings), ...Object.keys(after.settings)])) {
    const [old, now] = [before.settings[field], after.settings[field]];
    if (canonical(old) !== canonical(now)) {
      changes.push({ field, secret: false, before: shownValue(field, old), after: shownValue(field, now) });
    }
  }
  for (const field of new Set([...Object.keys(before.secrets), ...Object.keys(after.secrets)])) {
    if (canonical(before.secrets[field]) !== canonical(after.secrets[field]))
      changes.push({ field, secret: true });
  }
  return changes;
}

/** JSON with sorted keys: jsonb gives keys back in an order of its own. */
function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
