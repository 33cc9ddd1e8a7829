/** Mappings of a request as the entry of a sync has them. */
import type { FieldProblem } from "../../../domain/errors.ts";
import { FIELD_TYPES } from "../../../domain/fieldTypes.ts";
import {
  EXTRA_NAMES,
  type Extras,
  type KeptMappings,
  type MappingInput,
  type NestedFrom,
  NO_EXTRAS,
} from "./mappingSchemas.ts";
import { type EntryMapping, readFlat, readNested } from "./mappingSources.ts";

/** Mappings of a request as the entry has them. */
export interface ReadMappings {
  key: string;
  mappings: EntryMapping[];
  kept: KeptMappings;
  /** What the client calls a field of the entry's mapping, or of its key. */
  nameOf(place: "key" | number, field: string): string;
}

/** Reads a list; with problems instead where it cannot be what it says. `list` is what the client called it. */
export function readMappings(
  list: "mappings" | "field_mappings",
  inputs: readonly MappingInput[],
): ReadMappings | FieldProblem[] {
  const problems: FieldProblem[] = [];
  const read = inputs.map((input, at) => {
    const found = readOne(input);
    for (const { field, message } of found.problems)
      problems.push({ field: `${list}[${at}].${field}`, message });
    return { ...found, at, input };
  });
  const keys = read.filter(({ input }) => input.is_primary_identifier === true);
  const [key, second] = keys;
  if (second !== undefined) {
    const message = `Only one mapping is the key, and ${list}[${key?.at}] is one already; leave it out here.`;
    problems.push({ field: `${list}[${second.at}].is_primary_identifier`, message });
  }
  if (key === undefined && problems.length === 0) {
    problems.push({ field: list, message: "One mapping needs `is_primary_identifier: true`: the key." });
  }
  const column = key?.entry.column;
  if (key !== undefined && column === undefined && problems.length === 0) {
    const message = "The key is a column: write {type: column, data: its name}.";
    problems.push({ field: `${list}[${key.at}].${key.names("kind")}`, message });
  }
  if (problems.length > 0 || key === undefined || column === undefined) return problems;
  const others = read.filter((each) => each !== key);
  return {
    key: column,
    mappings: others.map(({ entry }) => entry),
    kept: {
      key: { to: key.input.to, at: key.at, extras: key.extras },
      extras: Object.fromEntries(
        others.flatMap(({ input, extras }) =>
          Object.keys(extras).length === 0 ? [] : [[input.to, extras] as const],
        ),
      ),
    },
    nameOf: (place, field) => {
      const found = place === "key" ? key : others[place];
      if (found === undefined) return list;
      return field === "" ? `${list}[${found.at}]` : `${list}[${found.at}].${found.names(field)}`;
    },
  };
}

interface ReadOne {
  entry: EntryMapping;
  extras: Extras;
  problems: FieldProblem[];
  /** A field of the entry's mapping in the client's words; `kind` is what says where the value comes from. */
  names(field: string): string;
}

function readOne(input: MappingInput): ReadOne {
  const isNested = typeof input.from === "object" && input.from !== null;
  const found = isNested ? readNested(input.from as NestedFrom) : readFlat(input);
  const problems = [...found.problems];
  const extras: Extras = {};
  for (const name of EXTRA_NAMES) {
    const value = input[name];
    if (value !== null && value !== undefined && value !== "" && value !== NO_EXTRAS[name])
      extras[name] = value;
  }
  // In the flat form the word says where the value comes from.
  const operation = isNested ? input.operation : null;
  if (operation === "merge") {
    const message = "Values of array fields are overwritten, not merged; write overwrite, or leave it out.";
    problems.push({ field: "operation", message });
  } else if (operation !== null && operation !== undefined && operation !== "") extras.operation = operation;
  const fieldType = FIELD_TYPES.find((type) => type === input.field_type);
  if (fieldType === undefined && input.field_type !== null && (input.field_type ?? "") !== "")
    problems.push({
      field: "field_type",
      message: `Write one of ${FIELD_TYPES.join(", ")}, or leave it out.`,
    });
  const entry = {
    ...found.from,
    to: input.to,
    ...(input.sync_null_values === false && "column" in found.from ? { sync_null_values: false } : {}),
    ...(fieldType === undefined ? {} : { field_type: fieldType }),
  } as EntryMapping;
  return { entry, extras, problems, names: (field) => found.names[field] ?? field };
}
