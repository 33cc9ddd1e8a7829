/** What must hold of the mappings in egret.yaml: each field is filled once, by something that can fill it. */
import { KEY_FIELD, MAX_FIELD_BYTES } from "../domain/configuration.ts";
import { InvalidInput } from "../domain/errors.ts";
import { readInstant } from "../domain/instantText.ts";
import { parseTemplate } from "../domain/liquid.ts";
import type { FieldPath } from "./fileProblem.ts";
import type { FileShape, MappingEntry } from "./fileSchema.ts";

/** A fault at a path below the sync's own, and its fix. */
export interface MappingFault {
  path: FieldPath;
  message: string;
}

/** What the file alone can tell of one sync's mappings (behaviour.md 9.1, 9.3). */
export function mappingFaults(sync: FileShape["syncs"][string]): MappingFault[] {
  const faults: MappingFault[] = [];
  const seen = new Map<string, number>();
  for (const [at, entry] of (sync.mappings ?? []).entries()) {
    const to = typeof entry === "string" ? entry : entry.to;
    const path = typeof entry === "string" ? ["mappings", at] : ["mappings", at, "to"];
    const message = nameFault(to, sync.key, seen.get(to));
    if (message !== null) faults.push({ path, message });
    else seen.set(to, at);
    if (typeof entry === "string") continue;
    for (const fault of entryFaults(entry)) {
      faults.push({ path: ["mappings", at, ...fault.path], message: fault.message });
    }
  }
  if (sync.field_normalization !== undefined && sync.field_behavior !== "sync_all_properties") {
    const message = "It names fields of `field_behavior: sync_all_properties`; add that, or leave it out.";
    faults.push({ path: ["field_normalization"], message });
  }
  return faults;
}

function nameFault(to: string, key: string, first: number | undefined): string | null {
  if (to === KEY_FIELD) {
    return `The field "${KEY_FIELD}" is taken: the key "${key}" travels under that name by itself; choose another.`;
  }
  if (Buffer.byteLength(to) > MAX_FIELD_BYTES)
    return `The name of a field has at most ${MAX_FIELD_BYTES} bytes; shorten it.`;
  if (first === undefined) return null;
  return `The field "${to}" is already filled by mappings[${first}]; choose another name.`;
}

function entryFaults(entry: MappingEntry): MappingFault[] {
  const faults: MappingFault[] = [];
  const { column, constant, template, basic_type, field_type, sync_null_values } = entry;
  if (sync_null_values !== undefined && column === undefined)
    faults.push({
      path: ["sync_null_values"],
      message: "Only a mapping with `column` has it; leave it out.",
    });
  if (field_type !== undefined && column === undefined && template === undefined) {
    const message = "Only a mapping with `column` or `template` has it; leave it out.";
    faults.push({ path: ["field_type"], message });
  }
  if (basic_type !== undefined && constant === undefined)
    faults.push({ path: ["basic_type"], message: "Only a mapping with `constant` has it; leave it out." });
  else if (constant !== undefined && !isOfType(constant, basic_type))
    faults.push({ path: ["constant"], message: CONSTANT_FAULTS[basic_type ?? "text"] });
  const message = template === undefined ? null : templateFault(template);
  if (message !== null) faults.push({ path: ["template"], message });
  return faults;
}

const CONSTANT_FAULTS: Record<NonNullable<MappingEntry["basic_type"]>, string> = {
  text: "The constant is no text; put it in quotes, or change `basic_type`.",
  number: "The constant is no number; write it without quotes, or change `basic_type`.",
  boolean: "Write true or false without quotes, or change `basic_type`.",
  datetime: 'Write a date or a timestamp in quotes, as in "2026-02-01T10:00:00Z".',
};

function isOfType(constant: string | number | boolean | null, type: MappingEntry["basic_type"]): boolean {
  if (constant === null || type === undefined) return true;
  if (type === "datetime") return typeof constant === "string" && readInstant(constant) !== null;
  return typeof constant === (type === "text" ? "string" : type);
}

function templateFault(template: string): string | null {
  try {
    parseTemplate(template, { columns: null, variable: "record" });
    return null;
  } catch (error) {
    if (error instanceof InvalidInput) return `${error.message}.`;
    throw error;
  }
}
