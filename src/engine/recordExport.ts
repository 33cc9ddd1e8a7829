/** All records of a run as text, some at a time, and the words by which people and programs choose among them. */
import type { Kysely } from "kysely";
import type { BatchOperation, Database } from "../projections/database.ts";
import {
  INVALID_STATUSES,
  RECORD_STATUSES,
  type RecordFilter,
  type RecordStatus,
  readRecords,
} from "./records.ts";
import { recordLine, recordsCsv } from "./recordText.ts";

/** Forms of an export: one JSON object a line, or CSV with a header. */
export const EXPORT_FORMATS = ["ndjson", "csv"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** How the text is to look. */
export interface ExportForm {
  format: ExportFormat;
  /** Of CSV: a value that a spreadsheet would run as a formula gets a quote in front of it. */
  escapesFormulas: boolean;
}

/** What rows can have been sent as. */
export const RECORD_OPERATIONS = [
  "upsert",
  "update",
  "insert",
  "append",
  "delete",
] as const satisfies readonly BatchOperation[];

/** Words for statuses: each status, and `invalid` for all that were set aside. Source: docs; behaviour.md 10.3. */
export const STATUS_WORDS = [...RECORD_STATUSES, "invalid"] as const;

/** The statuses that a word stands for. */
export function statusesOf(word: (typeof STATUS_WORDS)[number]): readonly RecordStatus[] {
  return word === "invalid" ? INVALID_STATUSES : [word];
}

/** Texts that together are the export; never more of it than one piece is in memory. */
export async function* exportTexts(
  db: Kysely<Database>,
  filter: RecordFilter,
  { format, escapesFormulas }: ExportForm,
): AsyncGenerator<string> {
  if (format === "csv") yield recordsCsv([], { hasHeader: true, escapesFormulas });
  for await (const records of readRecords(db, filter)) {
    yield format === "csv"
      ? recordsCsv(records, { hasHeader: false, escapesFormulas })
      : records.map((record) => `${recordLine(record)}\n`).join("");
  }
}
