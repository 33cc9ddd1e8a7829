/** What a request makes of a sync's entry in egret.yaml, and what is kept beside it for readers. */
import { isDeepStrictEqual } from "node:util";
import type { Kysely } from "kysely";
import type { EntryOf } from "../../../configuration/objectDesk.ts";
import { invalidObject } from "../../../configuration/objectProblems.ts";
import type { SyncView } from "../../../configuration/syncViews.ts";
import { DEFAULT_ALERTS } from "../../../domain/alert.ts";
import { KEY_FIELD } from "../../../domain/configuration.ts";
import type { FieldProblem } from "../../../domain/errors.ts";
import type { Schedule } from "../../../domain/schedule.ts";
import { syncOptionsShape } from "../../../domain/syncOptions.ts";
import type { Database } from "../../../projections/database.ts";
import { ApiRefusal } from "../apiErrors.ts";
import { readAlerts } from "./alertAttributes.ts";
import { syncFieldNames } from "./fieldNames.ts";
import { ADVANCED_OPTIONS, PLAIN_OPTIONS, type SyncChanges } from "./input.ts";
import { type ReadMappings, readMappings } from "./mappings.ts";
import { readTiming, toSchedule } from "./mode.ts";
import { type FoundSource, findNamed, findSource } from "./references.ts";

type Entry = EntryOf["sync"];

/** A request that was read. */
export interface SyncChange {
  label: string | null | undefined;
  /** @throws ApiRefusal (400) for what may not change any more. */
  edit(entry: Entry): Entry;
  /** Top-level keys that change; null is nothing. */
  attributes: Record<string, unknown>;
  /** Undefined: as it stands. */
  pausedByHand: boolean | undefined;
  /** The client's word for a field of the entry. */
  nameOf(field: string): string;
}

/** What the request refers to, found. */
interface Found {
  source?: FoundSource;
  destination?: string;
  /** Null: after none. */
  parent?: string | null;
  mappings?: ReadMappings;
}

/**
 * Reads a request; `standing` is the sync as it is, null for a new one.
 * @throws InvalidInput with every fault that its own words and its references have.
 */
export async function readSyncChange(
  db: Kysely<Database>,
  { workspaceId, standing }: { workspaceId: number; standing: SyncView | null },
  input: SyncChanges,
): Promise<SyncChange> {
  const problems: FieldProblem[] = [];
  const found = await findAll(db, workspaceId, { input, problems });
  const timing = readTiming(input, undefined);
  problems.push(...timing.problems);
  if (input.mirror_strategy === "sync_updates_and_nulls" || input.mirror_strategy === "upload_and_swap") {
    const message = "Only sync_updates_and_deletes is done; write that, or leave it out.";
    problems.push({ field: "mirror_strategy", message });
  }
  if (problems.length > 0) throw invalidObject(problems);
  const wished = optionsOf(input, standing?.attributes["advanced_configuration"]);
  return {
    label: input.label === undefined ? undefined : input.label?.trim() || null,
    edit: (entry) => editEntry(entry, { input, found, options: wished.options, standing }),
    attributes: changedAttributes(attributesOf(input, found, timing.kept), standing, input),
    // One that stands still by hand runs again; one that is to stand still does so by its own option.
    pausedByHand: input.paused === false && standing !== null ? false : undefined,
    nameOf: syncFieldNames({
      mappings: found.mappings ?? null,
      keyAt: keyPlace(standing),
      scheduleName: timing.nameOf,
      advanced: wished.advanced,
    }),
  };
}

async function findAll(
  db: Kysely<Database>,
  workspaceId: number,
  { input, problems }: { input: SyncChanges; problems: FieldProblem[] },
): Promise<Found> {
  const found: Found = {};
  const take = <T>(answer: { found: T } | { problem: FieldProblem }, keep: (value: T) => void) => {
    if ("problem" in answer) problems.push(answer.problem);
    else keep(answer.found);
  };
  const { source_attributes: source, destination_attributes: destination } = input;
  if (source) take(await findSource(db, workspaceId, source), (value) => (found.source = value));
  if (destination) {
    const wanted = { kind: "destination", field: "destination_attributes.connection_id" } as const;
    const id = destination.connection_id;
    take(await findNamed(db, workspaceId, { ...wanted, id }), (value) => (found.destination = value));
  }
  const { sequenceParent } = readTiming(input, undefined);
  if (typeof sequenceParent === "number") {
    const wanted = { kind: "sync", field: "mode.triggers.sync_sequence.sync_id" } as const;
    take(
      await findNamed(db, workspaceId, { ...wanted, id: sequenceParent }),
      (value) => (found.parent = value),
    );
  } else if (sequenceParent === null) found.parent = null;
  const list = input.mappings ? "mappings" : "field_mappings";
  const inputs = input.mappings ?? input.field_mappings;
  if (inputs) {
    const read = readMappings(list, inputs);
    if (Array.isArray(read)) problems.push(...read);
    else found.mappings = read;
  }
  return found;
}

/** Place of the key in the list that readers see. */
function keyPlace(standing: SyncView | null): number {
  const kept = standing?.attributes["key"] as { at?: unknown } | null | undefined;
  return typeof kept?.at === "number" ? kept.at : 0;
}

/** Options that the request sets; undefined or null as value: to be as if it had been left out. */
function optionsOf(
  input: SyncChanges,
  formerAdvanced: unknown,
): { options: Map<string, unknown>; advanced: Set<string> } {
  const options = new Map<string, unknown>();
  const advanced = new Set<string>();
  if (input.advanced_configuration !== undefined) {
    const former = (formerAdvanced ?? {}) as Record<string, unknown>;
    for (const name of ADVANCED_OPTIONS) {
      const value = input.advanced_configuration?.[name];
      if (value !== undefined) {
        options.set(name, plainValue(value));
        advanced.add(name);
      } else if (former[name] !== undefined) options.set(name, undefined);
    }
  }
  const mark = input.high_water_mark_attributes;
  if (mark) {
    const column = mark.use_high_water_mark_diff_type === false ? null : mark.column_name;
    options.set("high_water_mark_attribute", column);
  }
  for (const name of PLAIN_OPTIONS) {
    const value = input[name];
    // Null beside advanced_configuration is how a reader saw that it is not set.
    if (value === undefined || (value === null && advanced.has(name))) continue;
    if (name === "high_water_mark_attribute" && value === null && mark) continue;
    options.set(name, value);
    advanced.delete(name);
  }
  const { field_order: order } = input;
  if (order !== undefined)
    options.set("field_order", order === "source_column_order" ? "mapping_order" : order);
  return { options, advanced };
}

/** Some clients know texts alone. */
function plainValue(value: unknown): unknown {
  if (value === "true" || value === "false") return value === "true";
  return typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

function editEntry(
  entry: Entry,
  {
    input,
    found,
    options,
    standing,
  }: { input: SyncChanges; found: Found; options: ReadonlyMap<string, unknown>; standing: SyncView | null },
): Entry {
  const next: Record<string, unknown> = { ...entry };
  const set = (name: string, value: unknown) => {
    if (value === undefined || value === null || value === "") delete next[name];
    else next[name] = value;
  };
  if (input.operation) set("operation", input.operation);
  if (found.source !== undefined) {
    for (const name of ["model", "table", "source"] as const) set(name, found.source[name]);
  }
  if (found.destination !== undefined) set("destination", found.destination);
  if (standing !== null && entry.operation === "delete") refuseOtherDelete(entry, next);
  if (found.mappings !== undefined) {
    set("key", found.mappings.key);
    set("mappings", found.mappings.mappings);
  }
  for (const [name, value] of options) set(name, value);
  if (input.paused !== undefined && input.paused !== null) set("paused", input.paused);
  const { schedule } = readTiming(input, entry.schedule);
  if (schedule !== undefined && !isSameSchedule(schedule, entry.schedule)) set("schedule", schedule);
  if (found.parent !== undefined) set("sync_sequence", found.parent);
  const alerts = readAlerts(input, entry.alerts);
  if (alerts !== undefined && !isSameAlerts(alerts, entry.alerts)) set("alerts", alerts);
  return next as unknown as Entry;
}

/** As readers see both: what a client only read and sent back is no change. */
function isSameSchedule(given: Schedule | null, stands: Entry["schedule"]): boolean {
  if (given === null || stands === undefined) return false;
  return isDeepStrictEqual(given, toSchedule(stands));
}

function isSameAlerts(given: NonNullable<Entry["alerts"]>, stands: Entry["alerts"]): boolean {
  const parsed = syncOptionsShape.alerts.safeParse(given);
  return (
    parsed.success && isDeepStrictEqual(parsed.data, syncOptionsShape.alerts.parse(stands) ?? DEFAULT_ALERTS)
  );
}

/** Behaviour.md 10.5: what a delete sync has deleted was meant for that source and that destination. */
function refuseOtherDelete(before: Entry, after: Record<string, unknown>): void {
  const fields: Record<string, readonly string[]> = {
    operation: ["operation"],
    source_attributes: ["model", "table", "source"],
    destination_attributes: ["destination"],
  };
  for (const [field, names] of Object.entries(fields)) {
    if (names.every((name) => before[name as keyof Entry] === after[name])) continue;
    const message = "It cannot change on a sync that deletes; make another sync.";
    throw new ApiRefusal(400, `${field}: ${message}`, { problems: [{ field, message }] });
  }
}

/** Without those that readers see already. */
function changedAttributes(
  wanted: Record<string, unknown>,
  standing: SyncView | null,
  { destination_attributes: destination }: SyncChanges,
): Record<string, unknown> {
  const usual: Record<string, unknown> = {
    key: { to: KEY_FIELD, at: 0, extras: {} },
    mapping_extras: {},
    triggers: { dbt_cloud: null, fivetran: null },
    destination_object:
      destination?.connection_id === standing?.destination.id ? (standing?.destination.type ?? null) : null,
  };
  return Object.fromEntries(
    Object.entries(wanted).filter(
      ([name, value]) => !isDeepStrictEqual(value, standing?.attributes[name] ?? usual[name] ?? null),
    ),
  );
}

function attributesOf(
  input: SyncChanges,
  { mappings }: Found,
  timing: object | undefined,
): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  const { source_attributes: source, destination_attributes: destination } = input;
  if (source) attributes["object_type"] = source.object.type === "dataset" ? "dataset" : null;
  if (destination) {
    attributes["destination_object"] = destination.object ?? null;
    attributes["lead_union_insert_to"] = destination.lead_union_insert_to ?? null;
  }
  if (mappings !== undefined) {
    attributes["key"] = mappings.kept.key;
    attributes["mapping_extras"] = mappings.kept.extras;
  }
  if (timing !== undefined) attributes["triggers"] = timing;
  if (input.field_order !== undefined)
    attributes["field_order"] = input.field_order === "source_column_order" ? input.field_order : null;
  for (const name of ["mirror_strategy", "sync_behavior_family", "advanced_configuration"] as const) {
    if (input[name] !== undefined) attributes[name] = input[name] === "" ? null : input[name];
  }
  return attributes;
}
