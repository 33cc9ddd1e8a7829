/** `egret records find <sync> --key <key>`: what became of one key in the latest runs of a sync. */
import { Command } from "commander";
import type { RowRecord } from "../engine/records.ts";
import { recordLine } from "../engine/recordText.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { paintRecordStatus, shown } from "./recordsList.ts";
import { print, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface FindOptions extends DeskOptions {
  key: string;
  workspace?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["run", "status", "operation", "batch ended", "what was said", "record"];
const RIGHT = new Set([0]);

/** The command. */
export function recordsFindCommand(): Command {
  const command = new Command("find")
    .description("look for a key in the latest 200 runs of a sync, newest first")
    .argument("<sync>", "name or id of the sync")
    .requiredOption("--key <key>", "the exact key")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret records find airports --key LHR");
  return withDeskOptions(command).action(async (sync: string, options: FindOptions) => {
    const { key, limit, workspace } = options;
    const wanted = { name: sync, workspace, key, limit };
    const found = await withDesk("records", options, (desk) => desk.find(wanted));
    if (options.json === true) for (const record of found) print(recordLine(record));
    else if (found.length === 0)
      print("no run has sent or set aside a row with this key, as far as rows are kept");
    else for (const line of table(HEADINGS, found.map(cells), RIGHT)) print(line);
  });
}

function cells(record: RowRecord): string[] {
  return [
    String(record.sync_run_id),
    paintRecordStatus(record.status),
    record.operation ?? "-",
    record.batch_completed_at === null ? "-" : dayAndTime(record.batch_completed_at),
    shown(record.status_message ?? ""),
    shown(record.record_payload ?? ""),
  ];
}
