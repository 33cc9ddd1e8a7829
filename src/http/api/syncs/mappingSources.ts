/** Reads where a mapping's value comes from, in either form that clients write. */
import type { EntryOf } from "../../../configuration/objectDesk.ts";
import { CONSTANT_TYPES } from "../../../domain/configuration.ts";
import type { FieldProblem } from "../../../domain/errors.ts";
import { FROM_TYPES, type FromType, type MappingInput, type NestedFrom } from "./mappingSchemas.ts";

/** A mapping of a sync's entry. */
export type EntryMapping = Exclude<NonNullable<EntryOf["sync"]["mappings"]>[number], string>;

/** What fills a field, as the entry has it, and what is wrong with how it was written. */
export interface ReadFrom {
  from: Pick<EntryMapping, "column" | "constant" | "template" | "metadata" | "basic_type">;
  problems: FieldProblem[];
  /** Fields of the entry's mapping in the client's words. */
  names: Readonly<Record<string, string>>;
}

const NESTED_NAMES = {
  kind: "from.type",
  column: "from.data",
  constant: "from.data.value",
  basic_type: "from.data.basic_type",
  template: "from.data.liquid_template",
  metadata: "from.data",
};

/** Reads `from: {type, data}`. */
export function readNested({ type, data }: NestedFrom): ReadFrom {
  const refuse = (field: string, message: string): ReadFrom => ({
    from: { constant: null },
    problems: [{ field, message }],
    names: NESTED_NAMES,
  });
  const accept = (from: ReadFrom["from"]): ReadFrom => ({ from, problems: [], names: NESTED_NAMES });
  switch (type as FromType | "segment_membership") {
    case "column":
      return typeof data === "string" && data !== ""
        ? accept({ column: data })
        : refuse("from.data", "Write the name of the column.");
    case "liquid_template": {
      const template = typeof data === "string" ? data : inside(data, "liquid_template");
      return typeof template === "string"
        ? accept({ template })
        : refuse("from.data.liquid_template", "Write the template, as in {{ record['email'] | downcase }}.");
    }
    case "sync_metadata":
      return typeof data === "string"
        ? accept({ metadata: data as NonNullable<EntryMapping["metadata"]> })
        : refuse("from.data", "Write sync_run_id, sync_id or sync_run_started_at.");
    case "constant_value": {
      const isPlain = typeof data !== "object" || data === null;
      const value = constantOf(isPlain ? data : inside(data, "value"), inside(data, "basic_type"));
      return typeof value === "string" ? refuse("from.data.value", value) : accept(value);
    }
    case "segment_membership":
      return refuse("from.type", "There are no segments here; leave the mapping out.");
    default:
      return refuse("from.type", `Write one of ${FROM_TYPES.join(", ")}.`);
  }
}

const FLAT_NAMES = {
  kind: "operation",
  column: "from",
  constant: "constant",
  template: "liquid_template",
  metadata: "sync_metadata_key",
};

/** Reads the flat form, whose `operation` says where the value comes from. */
export function readFlat(input: MappingInput): ReadFrom {
  const named = (found: ReadFrom): ReadFrom => ({
    ...found,
    problems: found.problems.map(({ field, message }) => ({ field: FLAT[field] ?? field, message })),
    names: FLAT_NAMES,
  });
  switch (input.operation ?? "direct") {
    case "direct":
    // The wire form of `hash` is the column itself (behaviour.md 9.1).
    case "hash":
    case "":
      return named(readNested({ type: "column", data: input.from }));
    case "constant":
      return named(readNested({ type: "constant_value", data: input.constant }));
    case "liquid_template":
      return named(readNested({ type: "liquid_template", data: input.liquid_template ?? input.from }));
    case "sync_metadata":
      return named(readNested({ type: "sync_metadata", data: input.sync_metadata_key ?? input.from }));
    default:
      return named(readNested({ type: String(input.operation), data: input.from }));
  }
}

const FLAT: Readonly<Record<string, string>> = {
  "from.type": "operation",
  "from.data": "from",
  "from.data.value": "constant",
  "from.data.liquid_template": "liquid_template",
};

function inside(data: unknown, name: string): unknown {
  return typeof data === "object" && data !== null && Object.hasOwn(data, name)
    ? (data as Record<string, unknown>)[name]
    : undefined;
}

/** A constant of its type, which clients also write as text; or what is wrong with it. */
function constantOf(value: unknown, type: unknown): ReadFrom["from"] | string {
  const known = CONSTANT_TYPES.find((each) => each === type);
  if (type !== undefined && type !== null && known === undefined)
    return `\`basic_type\` is one of ${CONSTANT_TYPES.join(", ")}.`;
  if (value === null || value === undefined) return { constant: null };
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")
    return "Write a text, a number, true or false.";
  return { constant: asType(value, known), ...(known === undefined ? {} : { basic_type: known }) };
}

function asType(value: string | number | boolean, type: string | undefined): string | number | boolean {
  if (type === "number" && typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (type === "boolean" && (value === "true" || value === "false")) return value === "true";
  if (type === "text" || type === "datetime") return String(value);
  return value;
}
