/** `egret deliveries list`: deliveries by state, event, target, run, time or answer, newest first, page by page. */
import { Command, InvalidArgumentError, Option } from "commander";
import type { Kysely } from "kysely";
import { InvalidInput } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { Delivery } from "../projections/deliveries.ts";
import { type DeliveryPlace, searchDeliveries } from "../projections/deliverySearch.ts";
import { paintState } from "./deliveryWords.ts";
import { findDestinationNamed, findWorkspace } from "./findConfigured.ts";
import { counted, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { findSearched, type SearchOptions, withSearchOptions } from "./searchOptions.ts";
import { complain, print, printJson, table } from "./terminal.ts";

const STATES = ["pending", "retrying", "delivered", "dead"] as const;

interface ListOptions extends ReachOptions, SearchOptions {
  state?: Delivery["state"];
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
  return withReachOptions(command).action(list);
}

async function list(options: ListOptions): Promise<void> {
  if (options.webhook !== undefined && options.destination !== undefined) {
    throw new InvalidInput("a delivery has one target: give --webhook or --destination, not both");
  }
  const { state, limit } = options;
  const reach = await findServices(options);
  const { rows, names } = await withDatabase(reach, async ({ db }) => {
    const target = await targetOf(db, options);
    const found = await searchDeliveries(db, {
      ...target,
      states: state === undefined ? undefined : [state],
      event: options.event,
      runId: options.run,
      httpStatus: options.status,
      since: options.since,
      until: options.until,
      after: options.after,
      limit: limit + 1,
    });
    return { rows: found, names: await targetNames(db) };
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  if (options.json === true) for (const row of page) printJson({ ...row, cursor: cursorOf(row) });
  else if (last === undefined) print("no deliveries fit");
  else {
    const lines = table(
      HEADINGS,
      page.map((row) => cells(row, names)),
      RIGHT,
    );
    for (const line of lines) print(line);
    if (rows.length > limit) complain(`There are more: add --after ${cursorOf(last)}`);
  }
}

async function targetOf(db: Kysely<Database>, options: ListOptions) {
  const { workspace, webhookId, syncId } = await findSearched(db, options);
  const scope = { workspaceId: workspace?.id, syncId };
  if (webhookId !== undefined) return { ...scope, targetKind: "webhook" as const, targetId: webhookId };
  if (options.destination === undefined) return scope;
  const within = workspace ?? (await findWorkspace(db, options.workspace));
  const { id } = await findDestinationNamed(db, within, options.destination);
  return { ...scope, targetKind: "destination" as const, targetId: id };
}

/** Names of targets as `webhook/14`; those that were deleted have none any more. */
async function targetNames(db: Kysely<Database>): Promise<Map<string, string>> {
  const [webhooks, destinations] = await Promise.all([
    db.selectFrom("egret.webhooks").select(["id", "name"]).execute(),
    db.selectFrom("egret.destinations").select(["id", "name"]).execute(),
  ]);
  return new Map([
    ...webhooks.map(({ id, name }) => [`webhook/${id}`, name] as const),
    ...destinations.map(({ id, name }) => [`destination/${id}`, name] as const),
  ]);
}

function cells(row: Delivery, names: ReadonlyMap<string, string>): string[] {
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

/** A place in the list as one word. */
function cursorOf({ created_at, id }: DeliveryPlace): string {
  return Buffer.from(`${created_at.getTime()} ${id}`).toString("base64url");
}

function readCursor(text: string): DeliveryPlace {
  const [, ms, id] = /^(\d{1,15}) (\S+)$/.exec(Buffer.from(text, "base64url").toString()) ?? [];
  if (ms === undefined || id === undefined) {
    throw new InvalidArgumentError("Give a cursor as a page before showed it.");
  }
  return { created_at: new Date(Number(ms)), id };
}
