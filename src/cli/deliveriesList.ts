/** `egret deliveries list`: deliveries by state, event, target, run, time or answer, newest first, page by page. */
import { Command, InvalidArgumentError, Option } from "commander";
import { InvalidInput } from "../domain/errors.ts";
import { type DeliveryPlace, placeText, readPlace } from "../projections/deliverySearch.ts";
import { paintState } from "./deliveryWords.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownDelivery } from "./desks.ts";
import { counted, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { type SearchOptions, withSearchOptions } from "./searchOptions.ts";
import { complain, print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

const STATES = ["pending", "retrying", "delivered", "dead"] as const;

interface ListOptions extends DeskOptions, SearchOptions {
  state?: ShownDelivery["state"];
  destination?: string;
  after?: DeliveryPlace;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["delivery", "created", "target", "what", "state", "attempts", "status", "error"];
const RIGHT = new Set([5, 6]);

/** The command. */
export function deliveriesListCommand(): Command {
  const command = new Command("list")
    .description("list deliveries, newest first")
    .addOption(new Option("--state <state>", "only those in this state").choices(STATES))
    .option("--destination <destination>", "only batches for this destination, by name or id");
  withSearchOptions(command)
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--after <cursor>", "go on after this place: what the page before ended with", readCursor)
    .option("--json", "print one JSON object a line, each with the cursor of its place")
    .addHelpText(
      "after",
      "\nExamples:\n  egret deliveries list --state dead --webhook pager --since 24h\n" +
        "  egret deliveries list --status 503 --json",
    );
  return withDeskOptions(command).action(list);
}

async function list(options: ListOptions): Promise<void> {
  if (options.webhook !== undefined && options.destination !== undefined) {
    throw new InvalidInput("a delivery has one target: give --webhook or --destination, not both");
  }
  const { limit } = options;
  const search = { ...options, limit: limit + 1 };
  const { rows, names } = await withDesk("deliveries", options, (desk) => desk.list(search));
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  if (options.json === true) for (const row of page) printJson({ ...row, cursor: placeText(row) });
  else if (last === undefined) print("no deliveries fit");
  else {
    const lines = table(
      HEADINGS,
      page.map((row) => cells(row, names)),
      RIGHT,
    );
    for (const line of lines) print(line);
    if (rows.length > limit) complain(`There are more: add --after ${placeText(last)}`);
  }
}

function cells(row: ShownDelivery, names: ReadonlyMap<string, string>): string[] {
  const key = `${row.target_kind}/${row.target_id}`;
  return [
    row.id,
    dayAndTime(row.created_at),
    `${row.target_kind} ${names.get(key) ?? row.target_id}`,
    row.event ?? counted(row.records, "row"),
    paintState(row),
    String(row.attempts),
    row.http_status === null ? "-" : String(row.http_status),
    row.state === "delivered" ? "" : (row.error ?? ""),
  ];
}

function readCursor(text: string): DeliveryPlace {
  const place = readPlace(text);
  if (place === null) throw new InvalidArgumentError("Give a cursor as a page before showed it.");
  return place;
}
