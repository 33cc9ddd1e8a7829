/** `egret schedules`: what starts each sync by itself, and when next. */
import { Command } from "commander";
import { listSchedules, type ScheduledSync } from "../configuration/schedules.ts";
import { findWorkspace } from "./findConfigured.ts";
import { dayAndTime } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson, table } from "./terminal.ts";

interface SchedulesOptions extends ReachOptions {
  workspace?: string;
  json?: boolean;
}

const HEADINGS = ["sync", "schedule", "next tick", "last tick", "runs after", "state"];

/** The command. */
export function schedulesCommand(): Command {
  const command = new Command("schedules")
    .description("list what starts each sync by itself, and the next tick of its schedule")
    .option("--workspace <name>", "only syncs of this workspace, by name or id")
    .option("--json", "print one JSON object a line")
    .addHelpText(
      "after",
      "\nSchedules are in UTC. A continuous sync starts a minute after its last start, and not before its end.\n" +
        "Of ticks that were missed while nothing ran, the last one is caught up.\n\nExample:\n  egret schedules --json",
    );
  return withReachOptions(command).action(async (options: SchedulesOptions) => {
    const reach = await findServices(options);
    const syncs = await withDatabase(reach, async ({ db }) => {
      if (options.workspace === undefined) return listSchedules(db);
      return listSchedules(db, { workspaceId: (await findWorkspace(db, options.workspace)).id });
    });
    if (options.json === true) for (const sync of syncs) printJson(sync);
    else if (syncs.length === 0) print("no syncs yet; write an egret.yaml and run: egret apply");
    else for (const line of table(HEADINGS, syncs.map(cells), new Set())) print(line);
  });
}

function cells(sync: ScheduledSync): string[] {
  return [
    sync.sync_name,
    sync.schedule_words,
    sync.next_tick_at === null ? "-" : dayAndTime(sync.next_tick_at),
    sync.last_tick_at === null ? "-" : dayAndTime(sync.last_tick_at),
    sync.sync_sequence ?? "-",
    sync.paused
      ? paint("yellow", "paused")
      : sync.running_run_id === null
        ? ""
        : `run ${sync.running_run_id}`,
  ];
}
