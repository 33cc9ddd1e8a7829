/** Names of fields when a sync sends every column: one per column, in the form that the sync asks for. */
import type { Mapping } from "./configuration.ts";
import type { SyncOptions } from "./syncOptions.ts";

type Normalization = NonNullable<SyncOptions["field_normalization"]>;

const first = (word: string): string => {
  const [letter = "", ...rest] = word;
  return letter.toUpperCase() + rest.join("").toLowerCase();
};

const FORMS: Record<Normalization, (words: string[], name: string) => string> = {
  start_case: (words) => words.map(first).join(" "),
  lower_case: (words) => words.join(" ").toLowerCase(),
  upper_case: (words) => words.join(" ").toUpperCase(),
  camel_case: ([head = "", ...rest]) => head.toLowerCase() + rest.map(first).join(""),
  snake_case: (words) => words.join("_").toLowerCase(),
  match_source_names: (_words, name) => name,
};

/** Letters, marks and digits of any script; a capital after a small letter begins a word, and so does the last of several. */
function wordsOf(name: string): string[] {
  const spaced = name
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1 $2")
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2");
  return spaced.split(/[^\p{L}\p{M}\p{N}]+/u).filter((word) => word !== "");
}

/** A column's name in another form; a name without letters and digits stays as it is. Source of the forms' names: docs; behaviour.md 1.6. */
export function normalizedName(column: string, normalization: Normalization): string {
  const words = wordsOf(column);
  return words.length === 0 ? column : FORMS[normalization](words, column);
}

/**
 * The mappings as a run performs them. With `sync_all_properties` each column that no mapping copies gets one, so that a
 * new column is an added mapping (behaviour.md 9.2); else they are what was written down.
 */
export function mappingsFor(
  mappings: readonly Mapping[],
  options: Pick<SyncOptions, "field_behavior" | "field_normalization">,
  columns: readonly string[],
): readonly Mapping[] {
  if (options.field_behavior !== "sync_all_properties") return mappings;
  const mapped = new Set(mappings.flatMap((mapping) => ("column" in mapping ? [mapping.column] : [])));
  const form = options.field_normalization ?? "match_source_names";
  const added = columns
    .filter((column) => !mapped.has(column))
    .map((column) => ({ column, to: normalizedName(column, form) }));
  return [...mappings, ...added];
}
