/** `egret replay list`: the latest replays and how far each is. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownReplay } from "./desks.ts";
import { count, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { passedOver, replayJson } from "./replayWords.ts";
import { print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface ListOptions extends DeskOptions {
  workspace?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["replay", "requested", "state", "of", "begun again", "passed over", "what"];
const RIGHT = new Set([0, 3, 4, 5]);

/** The command. */
export function replayListCommand(): Command {
  const command = new Command("list")
    .description("list the latest replays")
    .option("--workspace <name>", "only those of this workspace, by name or id")
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret replay list");
  return withDeskOptions(command).action(async (options: ListOptions) => {
    const { workspace, limit } = options;
    const rows = await withDesk("replays", options, (desk) => desk.list({ workspace, limit }));
    if (options.json === true) for (const row of rows) printJson(replayJson(row));
    else if (rows.length === 0) print("no replays yet; see egret replay start --help");
    else for (const line of table(HEADINGS, rows.map(cells), RIGHT)) print(line);
  });
}

function cells(row: ShownReplay): string[] {
  return [
    String(row.id),
    dayAndTime(row.requested_at),
    row.state,
    count(row.total),
    count(row.replayed),
    count(passedOver(row)),
    wantedText(row.wanted),
  ];
}

/** What a replay was asked for, on one line. */
function wantedText(wanted: ShownReplay["wanted"]): string {
  const { kind, ...filter } = wanted;
  const parts = Object.entries(filter).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join("+") : String(value)}`,
  );
  return `${kind === "deliveries" ? "deliveries" : "missed events"}: ${parts.join(", ")}`;
}
