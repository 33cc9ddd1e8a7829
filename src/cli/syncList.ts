/** `egret sync list` and `egret sync show`: syncs, what each moves from where to where, and how it stands. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownSync } from "./desks.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { dayAndTime } from "./format.ts";
import { paint, print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface SyncOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

const HEADINGS = ["id", "sync", "status", "operation", "from", "to", "schedule", "last run"];
const RIGHT = new Set([0]);

/** The command that lists. */
export function syncListCommand(): Command {
  const command = new Command("list")
    .description("list syncs by name")
    .option("--workspace <name>", "only syncs of this workspace, by name or id")
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret sync list");
  return withDeskOptions(command).action(async (options: SyncOptions) => {
    const { workspace } = options;
    const syncs = await withDesk("syncs", options, (desk) => desk.list({ workspace }));
    if (options.json === true) for (const sync of syncs) printJson(sync);
    else if (syncs.length === 0) print("no syncs yet; write an egret.yaml and run: egret apply");
    else for (const line of table(HEADINGS, syncs.map(cells), RIGHT)) print(line);
  });
}

/** The command that shows one. */
export function syncShowCommand(): Command {
  const command = new Command("show")
    .description("show one sync")
    .argument("<sync>", "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret sync show airports`);
  return withDeskOptions(command).action(async (name: string, options: SyncOptions) => {
    const { workspace } = options;
    const sync = await withDesk("syncs", options, (desk) => desk.show({ name, workspace }));
    if (options.json === true) printJson(sync);
    else for (const line of lines(sync)) print(line);
  });
}

function statusOf({ status, paused }: ShownSync): string {
  return paused ? paint("yellow", `${status}, paused`) : status;
}

function cells(sync: ShownSync): string[] {
  return [
    String(sync.id),
    sync.name,
    statusOf(sync),
    sync.operation,
    `${sync.source}: ${sync.object}`,
    sync.destination,
    sync.schedule,
    sync.last_run_id === null ? "-" : `${sync.last_run_id}${at(sync.last_run_at)}`,
  ];
}

function lines(sync: ShownSync): string[] {
  const facts: [string, string][] = [
    ["operation", sync.operation],
    ["from", `${sync.source}: ${sync.object}`],
    ["to", sync.destination],
    ["schedule", sync.schedule],
    ["next run", sync.next_run_at === null ? "-" : dayAndTime(sync.next_run_at)],
    ["last run", sync.last_run_id === null ? "-" : `${sync.last_run_id}${at(sync.last_run_at)}`],
  ];
  return [
    `${paint("bold", sync.name)}  sync ${sync.id}  ${statusOf(sync)}`,
    ...facts.map(([name, value]) => `  ${paint("dim", name.padEnd(12))} ${value}`),
  ];
}

const at = (instant: Date | null): string => (instant === null ? "" : ` at ${dayAndTime(instant)}`);
