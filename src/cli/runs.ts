/** `egret runs`: the latest runs, newest first. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownRun } from "./desks.ts";
import { count, dayAndTime, duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { paint, print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface RunsOptions extends DeskOptions {
  sync?: string;
  workspace?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = [
  "run",
  "sync",
  "status",
  "triggered",
  "took",
  "rows",
  "changed",
  "accepted",
  "rejected",
  "error",
];
const RIGHT = new Set([0, 4, 5, 6, 7, 8]);

/** The command. */
export function runsCommand(): Command {
  const command = new Command("runs")
    .description("list the latest runs")
    .option("--sync <sync>", "only runs of this sync, by name or id")
    .option("--workspace <name>", "name or id; needed with --sync when there are several")
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret runs --sync airports --limit 5");
  return withDeskOptions(command).action(async (options: RunsOptions) => {
    const { sync, workspace, limit } = options;
    const runs = await withDesk("runs", options, (desk) => desk.list({ sync, workspace, limit }));
    if (options.json === true) for (const run of runs) printJson(run);
    else if (runs.length === 0) print("no runs yet; start one with: egret trigger <sync> --watch");
    else for (const line of table(HEADINGS, runs.map(cells), RIGHT)) print(line);
  });
}

function cells(run: ShownRun): string[] {
  const from = run.started_at ?? run.created_at;
  return [
    String(run.id),
    run.run_kind === "normal" ? run.sync_name : `${run.sync_name} (${run.run_kind})`,
    paintStatus(run.status),
    dayAndTime(run.created_at),
    run.completed_at === null ? "-" : duration(run.completed_at.getTime() - from.getTime()),
    count(run.source_record_count),
    count(changedOf(run)),
    count(run.records_updated),
    count(run.records_failed),
    run.error_code ?? "",
  ];
}

/** With deletes: what was processed adds up. Source: docs; behaviour.md 4.2. */
function changedOf({
  source_record_updates: updates,
  source_record_deletes: deletes,
}: ShownRun): number | null {
  return updates === null ? null : updates + (deletes ?? 0);
}

/** The status of a run in its colour. */
export function paintStatus(status: ShownRun["status"]): string {
  if (status === "completed") return paint("green", status);
  if (status === "skipped") return paint("dim", status);
  return status === "failed" ? paint("red", status) : paint("cyan", status);
}
