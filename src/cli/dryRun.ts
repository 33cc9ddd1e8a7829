/** `egret dry-run <sync>`: what a run of the sync would do now, without sending anything. */
import { Command } from "commander";
import type { EventData } from "../domain/event.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { count, counted, duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { complain, isTerminal, paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface DryRunOptions extends DeskOptions {
  full?: boolean;
  workspace?: string;
  timeout: number;
  json?: boolean;
}

/** The command. */
export function dryRunCommand(): Command {
  const command = new Command("dry-run")
    .description("tell what a run of a sync would do now; nothing is sent and nothing is changed")
    .argument("<sync>", "name or id of the sync")
    .option("--full", "as if a full sync were asked for")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--timeout <seconds>", "how long to wait until it is taken up", wholeNumber(1, 86_400), 30)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nIt may run beside a run of the same sync: its figures are those of the moment. The exit code is 1 when it fails,\n" +
        `and when a fuse would stop the run.\n${EXIT_CODES_HELP}\n\nExample:\n  egret dry-run airports`,
    );
  return withDeskOptions(command).action((sync: string, options: DryRunOptions) => dryRun(sync, options));
}

async function dryRun(syncName: string, options: DryRunOptions): Promise<void> {
  const isJson = options.json === true;
  const { runId, end } = await withDesk("trials", options, (desk) =>
    desk.dryRun({
      name: syncName,
      workspace: options.workspace,
      isFull: options.full === true,
      timeoutMs: options.timeout * 1_000,
      isShown: !isJson && isTerminal(),
    }),
  );
  if (end.type === "trial.failed") {
    if (isJson) printJson({ run_id: runId, status: "failed", ...withoutIds(end.data) });
    else {
      complain(`${end.data.error_code}: ${end.data.error_message}`);
      if (end.data.error_detail !== null) complain(end.data.error_detail);
    }
    process.exitCode = EXIT.failed;
    return;
  }
  const { dry, test: _test, ...data } = end.data;
  if (isJson) printJson({ run_id: runId, status: "completed", ...withoutIds(data), ...dry });
  else for (const line of dryRunLines(syncName, end.data)) print(line);
  if (dry !== null && dry.stopped_by !== null) process.exitCode = EXIT.failed;
}

function withoutIds<T extends { sync_run_id: number }>(data: T): Omit<T, "sync_run_id"> {
  const { sync_run_id: _run, ...rest } = data;
  return rest;
}

/** The figures as a table of two columns, and what is to be said about them. */
export function dryRunLines(
  syncName: string,
  data: Omit<EventData<"trial.completed">, "destination_id">,
): string[] {
  const { dry } = data;
  if (dry === null) return [];
  const figures: [string, number | null][] = [
    ["rows in the source", data.source_record_count],
    ["new or changed", data.source_record_updates],
    ["gone from the source", data.source_record_deletes],
    ["invalid, set aside", data.source_record_invalids],
    ["expected creates", dry.expected_creates],
    ["expected updates", dry.expected_updates],
    ["expected deletes", dry.expected_deletes],
    ["requests", dry.batches],
  ];
  const width = Math.max(...figures.map(([, value]) => count(value).length));
  const lines = figures.map(([name, value]) => `  ${name.padEnd(22)} ${count(value).padStart(width)}`);
  const why = data.full_sync
    ? `full sync (${data.full_sync_reasons.join(", ")}): every valid row would be sent`
    : "only what changed since the last run would be sent";
  const title = `${paint("bold", `dry run of ${syncName}`)} in ${duration(data.duration_ms)}: nothing was sent`;
  return [title, ...lines, `  ${why}`, ...remarks(dry)];
}

function remarks({ resends, stopped_by }: NonNullable<EventData<"trial.completed">["dry"]>): string[] {
  const again =
    resends === null || resends === 0
      ? []
      : [
          paint(
            "yellow",
            `  ! ${counted(resends, "row")} that the destination has accepted before would be sent again`,
          ),
        ];
  if (stopped_by === null) return again;
  const { error_code, error_message, error_detail } = stopped_by;
  return [
    ...again,
    paint("red", `  ✗ the run would stop before it sends anything: ${error_code}: ${error_message}`),
    ...(error_detail === null ? [] : [`    ${error_detail}`]),
  ];
}
