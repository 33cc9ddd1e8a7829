/** The table of mappings on the page of a sync: rows as inputs, and mappings as egret.yaml writes them. */

import type { EntryOf } from "../../configuration/objectDesk.ts";
import { METADATA_FIELDS } from "../../domain/configuration.ts";
import type { Submission } from "./submission.ts";

type Entry = NonNullable<EntryOf["sync"]["mappings"]>[number];
type Mapping = Exclude<Entry, string>;

/** One row of the table. */
export interface MappingRow {
  /** `column:<name>`, `metadata:<fact>`, `constant`, `template`, or nothing yet. */
  from: string;
  /** Of a constant or template. */
  value: string;
  to: string;
  /** Place in the list that stands; -1 for a new one. */
  was: number;
  isDropped: boolean;
}

/** Most rows; the configuration has the same limit. */
const MOST_ROWS = 1_000;

/** Facts of the run, in words. */
export const FACTS: Readonly<Record<(typeof METADATA_FIELDS)[number], string>> = {
  sync_run_id: "ID of the run",
  sync_id: "ID of the sync",
  sync_run_started_at: "When the run started",
};

/** A row that can be filled in. */
export const emptyRow = (): MappingRow => rowFrom("", "");

function rowFrom(from: string, to: string): MappingRow {
  return { from, value: "", to, was: -1, isDropped: false };
}

/** The rows of the mappings that stand. */
export function rowsOf(mappings: EntryOf["sync"]["mappings"]): MappingRow[] {
  return (mappings ?? []).map((entry, was) => {
    const mapping = wholeOf(entry);
    const { from, value } = partsOf(mapping);
    return { from, value, to: mapping.to, was, isDropped: false };
  });
}

/** A row for each column, under its own name. */
export function rowsOfColumns(columns: readonly string[]): MappingRow[] {
  return columns.slice(0, MOST_ROWS).map((name) => rowFrom(`column:${name}`, name));
}

function wholeOf(entry: Entry): Mapping {
  return typeof entry === "string" ? { column: entry, to: entry } : entry;
}

function partsOf(mapping: Mapping): { from: string; value: string } {
  if (mapping.column !== undefined) return { from: `column:${mapping.column}`, value: "" };
  if (mapping.metadata !== undefined) return { from: `metadata:${mapping.metadata}`, value: "" };
  if (mapping.template !== undefined) return { from: "template", value: mapping.template };
  return { from: "constant", value: mapping.constant === null ? "" : String(mapping.constant) };
}

/** The rows as they were sent. */
export function readRows(sent: Submission): MappingRow[] {
  const count = Math.min(MOST_ROWS + 10, Number(sent.text("map.count").replace(/\D.*$/s, "") || 0));
  return Array.from({ length: count }, (_, at) => ({
    from: sent.text(`map.${at}.from`),
    value: sent.all(`map.${at}.value`)[0] ?? "",
    to: sent.text(`map.${at}.to`),
    was: Number(/^\d{1,4}$/.exec(sent.text(`map.${at}.was`))?.[0] ?? -1),
    isDropped: sent.isTicked(`map.${at}.drop`),
  }));
}

/** Mappings of the rows that are filled in and not dropped; `at` is each one's place in the table. */
export function mappingsOfRows(
  rows: readonly MappingRow[],
  before: EntryOf["sync"]["mappings"],
): { at: number; mapping: Mapping }[] {
  return rows.flatMap((row, at) => {
    if (row.isDropped || (row.from === "" && row.to === "" && row.value === "")) return [];
    const former = before?.[row.was];
    return [{ at, mapping: mappingOf(row, former === undefined ? null : wholeOf(former)) }];
  });
}

/** What the table does not show of a mapping stays, as long as it is filled from the same kind of thing. */
function mappingOf({ from, value, to }: MappingRow, former: Mapping | null): Mapping {
  const [, kind = "", name = ""] = /^(column|metadata):(.*)$/s.exec(from) ?? [];
  if (kind === "column") {
    const rest = former?.column === undefined ? {} : without(former);
    return { ...rest, column: name, to: to === "" ? name : to };
  }
  if (kind === "metadata") {
    const fact = METADATA_FIELDS.find((each) => each === name);
    return { metadata: fact, to: to === "" ? name : to };
  }
  if (from === "template") {
    const rest = former?.template === undefined ? {} : without(former);
    return { ...rest, template: value, to };
  }
  // Nothing chosen: the checks say so.
  if (from !== "constant") return { to };
  return former?.constant === undefined
    ? { constant: value, to }
    : { ...without(former), constant: typedLike(former.constant, value), to };
}

function without({
  column: _c,
  constant: _k,
  template: _t,
  metadata: _m,
  to: _to,
  ...rest
}: Mapping): Partial<Mapping> {
  return rest;
}

/** A number stays a number, and what was nothing stays nothing. */
function typedLike(former: string | number | boolean | null, text: string): string | number | boolean | null {
  if (former === null) return text === "" ? null : text;
  if (typeof former === "number" && /^-?\d{1,15}(\.\d{1,9})?$/.test(text.trim())) return Number(text);
  if (typeof former === "boolean" && /^(true|false)$/.test(text.trim())) return text.trim() === "true";
  return text;
}
