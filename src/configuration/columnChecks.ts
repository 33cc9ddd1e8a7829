/** What only the columns of a source can tell of a sync's mappings: that they are there, and that all fit into one record. */
import { KEY_FIELD, MAX_FIELD_BYTES, type Mapping } from "../domain/configuration.ts";
import { mappingsFor } from "../domain/fieldNames.ts";
import { parseTemplate } from "../domain/liquid.ts";
import type { FileSync } from "./egretFile.ts";
import type { MappingFault } from "./mappingChecks.ts";
import { suggestion } from "./nearest.ts";

/** The mappings of a sync as it would run now, without that of the key. */
export function mappingsOf(sync: FileSync, columns: readonly string[]): Mapping[] {
  const key: Mapping = { column: sync.key, to: KEY_FIELD, key: true };
  const listed = sync.mappings?.map(({ mapping }) => mapping);
  const everything = { ...sync.options, field_behavior: "sync_all_properties" } as const;
  return listed === undefined
    ? mappingsFor([key], everything, columns).slice(1)
    : mappingsFor([key, ...listed], sync.options, columns).slice(1);
}

/** What only the source's columns can tell of one sync's mappings. */
export function columnFaults(sync: FileSync, columns: readonly string[]): MappingFault[] {
  const faults: MappingFault[] = [];
  for (const { at, mapping } of sync.mappings ?? []) {
    const field = "template" in mapping ? "template" : "column";
    for (const column of columnsOf(mapping)) {
      const message = columnFault(column, columns);
      if (message !== null) faults.push({ path: ["mappings", at, field], message });
    }
  }
  if (sync.mappings === null || sync.options.field_behavior === "sync_all_properties") {
    for (const name of repeated(columns)) faults.push({ path: ["mappings"], message: repeatedFault(name) });
  }
  const listed = new Set(sync.mappings?.map(({ mapping }) => mapping));
  const filled = new Map<string, string | null>();
  for (const mapping of mappingsOf(sync, [...new Set(columns)])) {
    const column = "column" in mapping ? mapping.column : null;
    const added = listed.has(mapping) || column === null ? null : { column, to: mapping.to };
    const message = added === null ? null : addedFault(added, sync, filled);
    if (message !== null) faults.push({ path: ["mappings"], message });
    filled.set(mapping.to, column);
  }
  return faults;
}

function columnsOf(mapping: Mapping): readonly string[] {
  if ("column" in mapping) return [mapping.column];
  if (!("template" in mapping)) return [];
  return parseTemplate(mapping.template, { columns: null, variable: "record" }).columns;
}

/** Of a column that is sent because every one is. */
function addedFault(
  { column, to }: { column: string; to: string },
  { key, options }: FileSync,
  filled: ReadonlyMap<string, string | null>,
): string | null {
  const isFollowing = options.field_behavior === "sync_all_properties";
  const fix = isFollowing
    ? "list one in `mappings` under another name"
    : "list the mappings and name it otherwise";
  if (to === KEY_FIELD) {
    const name = column === to ? "under its name" : `as "${to}"`;
    return `The column "${column}" cannot travel ${name}, which is that of the key "${key}"; ${fix}.`;
  }
  if (Buffer.byteLength(to) > MAX_FIELD_BYTES)
    return `The column "${column}" would fill the field "${to}", whose name has more than ${MAX_FIELD_BYTES} bytes; ${fix}.`;
  const other = filled.get(to);
  if (other === undefined) return null;
  if (other === null)
    return `The column "${column}" would fill the field "${to}", as a mapping does; ${fix}.`;
  return `The columns "${other}" and "${column}" would both fill the field "${to}"; ${fix}.`;
}

/** Why a column cannot be referred to; null when it can. */
export function columnFault(name: string, columns: readonly string[]): string | null {
  if (!columns.includes(name)) return `There is no column "${name}".${suggestion(name, columns)}`;
  return columns.filter((column) => column === name).length > 1 ? repeatedFault(name) : null;
}

function repeatedFault(name: string): string {
  return `More than one column is named "${name}"; give each its own name with AS.`;
}

function repeated(columns: readonly string[]): Set<string> {
  return new Set(columns.filter((name, place) => columns.indexOf(name) !== place));
}
