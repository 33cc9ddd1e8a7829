/** Row-level records as texts: one JSON object a line, or CSV. */
import { stringify } from "csv-stringify/sync";
import type { RowRecord } from "./records.ts";

/** Columns of both forms, in their order. Source: behaviour.md 8.2; `rows` is ours. */
export const RECORD_COLUMNS = [
  "identifier",
  "record_payload",
  "operation",
  "status",
  "status_message",
  "batch_started_at",
  "batch_completed_at",
  "sync_configuration_id",
  "sync_run_id",
  "rows",
] as const satisfies readonly (keyof RowRecord)[];

/** One record as a JSON object on one line. The payload stands in it as it was sent. */
export function recordLine(record: RowRecord, { withCursor = false }: { withCursor?: boolean } = {}): string {
  let line = "{";
  for (const name of RECORD_COLUMNS) {
    line += `${line.length === 1 ? "" : ","}"${name}":${name === "record_payload" ? record[name] : jsonOf(record[name])}`;
  }
  return `${line}${withCursor ? `,"cursor":"${record.cursor}"` : ""}}`;
}

/** A million lines are ten million values: most of them need nothing that JSON.stringify looks for. */
function jsonOf(value: string | number | Date | null): string {
  if (value === null || typeof value === "number") return String(value);
  return typeof value === "string" ? JSON.stringify(value) : `"${value.toISOString()}"`;
}

/** How CSV is written. */
export interface CsvForm {
  /** Whether the names of the columns come first. */
  hasHeader: boolean;
  /** Whether a value that a spreadsheet would run as a formula gets a quote in front of it. */
  escapesFormulas: boolean;
}

/** Records as lines of CSV (RFC 4180), ends included; null is an empty field. */
export function recordsCsv(records: readonly RowRecord[], { hasHeader, escapesFormulas }: CsvForm): string {
  return stringify([...records], {
    columns: [...RECORD_COLUMNS],
    header: hasHeader,
    escape_formulas: escapesFormulas,
    record_delimiter: "\r\n",
    quote_record_delimiter: true,
    // An empty text is a key like any other; null is none.
    quoted_match: /^$/,
    cast: { date: (date) => date.toISOString() },
  });
}
