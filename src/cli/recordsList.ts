/** `egret records list <run>`: rows of a run with what became of them, page by page, and how many there are of each status. */
import { Command, InvalidArgumentError } from "commander";
import { parseCursor, RECORD_STATUSES, type RecordStatus, type RowRecord } from "../engine/records.ts";
import { recordLine } from "../engine/recordText.ts";
import { withDeskOptions } from "./deskOptions.ts";
import { printable } from "./exchangeLines.ts";
import { counted, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { type RecordOptions, wantedRecords, withRecordOptions } from "./recordOptions.ts";
import { complain, paint, print, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface ListOptions extends RecordOptions {
  after?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["key", "status", "operation", "batch ended", "what was said", "record"];
/** Longer, a text is cut for the table. */
const CELL = 60;

/** The command. */
export function recordsListCommand(): Command {
  const command = new Command("list")
    .description("list rows of a run: those set aside, then those sent, in the order of their batches")
    .argument("<run>", "id of the run");
  withRecordOptions(command)
    .option("--limit <count>", "how many", wholeNumber(1, 10_000), 20)
    .option("--after <cursor>", "go on after this place: what the page before ended with", readCursor)
    .option("--json", "print one JSON object a line, each with the cursor of its place")
    .addHelpText("after", "\nExample:\n  egret records list 7011 --status rejected");
  return withDeskOptions(command).action(list);
}

function readCursor(text: string): string {
  if (parseCursor(text) !== null) return text;
  throw new InvalidArgumentError("Give the cursor that a page ended with.");
}

async function list(runId: string, options: ListOptions): Promise<void> {
  const { after, limit, json = false } = options;
  const wanted = { ...wantedRecords(runId, options), after, limit, isCounted: !json };
  const { found, counts, isKept } = await withDesk("records", options, (desk) => desk.list(wanted));
  const page = found.slice(0, limit);
  if (json) for (const record of page) print(recordLine(record, { withCursor: true }));
  else printPage(page, counts);
  if (!isKept) complain("Rows of this run are not kept any more, or not all of them.");
  const last = page.at(-1);
  if (!json && last !== undefined && found.length > limit)
    complain(`There are more: add --after ${last.cursor}`);
}

function printPage(page: readonly RowRecord[], counts: ReadonlyMap<RecordStatus, number> | null): void {
  const parts = RECORD_STATUSES.filter((status) => (counts?.get(status) ?? 0) > 0).map(
    (status) => `${paintRecordStatus(status)} ${counted(counts?.get(status) ?? 0, "row")}`,
  );
  print(parts.length === 0 ? "no rows fit" : parts.join(", "));
  if (page.length > 0) for (const line of table(HEADINGS, page.map(recordCells))) print(line);
}

/** A record as cells of a table. */
function recordCells(record: RowRecord): string[] {
  return [
    record.identifier === null ? "-" : shown(record.identifier),
    paintRecordStatus(record.status),
    record.operation ?? "-",
    record.batch_completed_at === null ? "-" : dayAndTime(record.batch_completed_at),
    shown(record.status_message ?? ""),
    shown(record.record_payload ?? ""),
  ];
}

/** A text of a row on one line, cut where it is long. */
export function shown(text: string): string {
  const line = printable(text.slice(0, CELL * 2)).replaceAll("\n", " ");
  return line.length > CELL ? `${line.slice(0, CELL - 1)}…` : line;
}

/** A status in its colour. */
export function paintRecordStatus(status: RecordStatus): string {
  if (status === "succeeded") return paint("green", status);
  return status === "pending" ? paint("cyan", status) : paint("red", status);
}
