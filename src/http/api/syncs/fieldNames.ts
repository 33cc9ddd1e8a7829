/** Fields of a sync's entry in the API's words, for what the checks find. */
import { splitField } from "../fieldNames.ts";
import type { ReadMappings } from "./mappings.ts";

/** What decides how the client called things. */
export interface FieldWords {
  /** Of this request; null when it has none. */
  mappings: ReadMappings | null;
  /** Where the key stands in the list that readers see. */
  keyAt: number;
  /** A field of the schedule; "" is the schedule itself. */
  scheduleName(field: string): string;
  /** Options that stood in advanced_configuration. */
  advanced: ReadonlySet<string>;
}

const PLAIN: Readonly<Record<string, string>> = {
  model: "source_attributes.object",
  table: "source_attributes.object",
  source: "source_attributes.connection_id",
  destination: "destination_attributes.connection_id",
  sync_sequence: "mode.triggers.sync_sequence.sync_id",
  alerts: "alert_attributes",
};

/** From the entry's field to the client's. */
export function syncFieldNames(words: FieldWords): (field: string) => string {
  return (field) => {
    const [first, rest] = splitField(field);
    if (first === "mappings") return mappingName(words, rest);
    if (first === "key")
      return words.mappings?.nameOf("key", "column") ?? `mappings[${words.keyAt}].from.data`;
    if (first === "schedule") return words.scheduleName(rest.replace(/^\./, ""));
    if (words.advanced.has(first)) return `advanced_configuration.${field}`;
    return `${PLAIN[first] ?? first}${rest}`;
  };
}

/** `rest` is what follows `mappings`, such as `[2].column`. */
function mappingName({ mappings, keyAt }: FieldWords, rest: string): string {
  const [, place, inside = ""] = /^\[(\d+)\]\.?(.*)$/s.exec(rest) ?? [];
  if (place === undefined) return mappings?.nameOf(-1, "") ?? "mappings";
  const at = Number(place);
  if (mappings !== null) return mappings.nameOf(at, inside);
  const shown = at >= keyAt ? at + 1 : at;
  return `mappings[${shown}]${inside === "" ? "" : `.${inside}`}`;
}
