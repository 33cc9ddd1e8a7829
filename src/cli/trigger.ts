/** `egret trigger <sync>`: starts a run and, when asked, watches it to its end. */
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownEnd, TriggeredRun } from "./desks.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { count, duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { checkCommandId } from "./requestRun.ts";
import { RunScreen } from "./runScreen.ts";
import { complain, paint, print, printJson, StatusLine } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface TriggerOptions extends DeskOptions {
  full?: boolean;
  allowDeletes?: boolean;
  allowRejects?: boolean;
  watch?: boolean;
  workspace?: string;
  json?: boolean;
  id?: string;
  reason: string;
  timeout: number;
}

/** The command. */
export function triggerCommand(): Command {
  const command = new Command("trigger")
    .description("start a run of a sync")
    .argument("<sync>", "name or id of the sync")
    .option("--full", "send every valid row, changed or not")
    .option("--allow-deletes", "go on although more is deleted than max_delete_percent allows")
    .option("--allow-rejects", "go on although more is rejected than max_rejected_percent allows")
    .option("--watch", "show progress and wait for the end; the exit code tells the outcome")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--id <key>", "idempotency key: the same key never starts a second run")
    .option(
      "--reason <text>",
      "who or what asks, in the run's history; through the API it stands behind the name of the token",
      "egret trigger",
    )
    .option("--timeout <seconds>", "how long to wait until the run is taken up", wholeNumber(1, 86_400), 30)
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret trigger airports --watch`);
  return withDeskOptions(command).action((sync: string, options: TriggerOptions) => trigger(sync, options));
}

async function trigger(syncName: string, options: TriggerOptions): Promise<void> {
  const timeoutMs = options.timeout * 1_000;
  await withDesk("runs", options, async (desk) => {
    const run = await desk.trigger({
      name: syncName,
      workspace: options.workspace,
      isFull: options.full === true,
      allowDeletes: options.allowDeletes,
      allowRejects: options.allowRejects,
      id: checkCommandId(options.id ?? randomUUID()),
      reason: options.reason,
      timeoutMs,
    });
    for (const name of run.failedDestinations)
      complain(
        `${paint("yellow", "warning")} destination ${name} failed its last connection test; test it again with: egret destination test ${name}`,
      );
    if (options.watch === true) await watch(run, options);
    else report(run, options);
  });
}

function report(run: TriggeredRun, { json }: TriggerOptions): void {
  const { workspaceId: workspace_id, syncId: sync_id, runId: run_id } = run;
  if (json === true) printJson({ run_id, sync_id, workspace_id, status: "triggered" });
  else print(`run ${run_id} is triggered; see it with: egret run ${run_id}`);
}

async function watch(run: TriggeredRun, options: TriggerOptions): Promise<void> {
  const screen = options.json === true ? null : new RunScreen(new StatusLine());
  if (screen !== null) print(paint("bold", `run ${run.runId}`));
  const end = await run.watch(screen, options.timeout * 1_000);
  if (options.json === true) printJson(toJson(end));
  else printEnd(end);
  if (end.outcome === "failed") process.exitCode = EXIT.failed;
}

function toJson({ outcome, completed, durationMs }: ShownEnd): object {
  const { sync_run_id: run_id, ...rest } = completed;
  return { run_id, ...rest, status: outcome, duration_ms: durationMs };
}

function printEnd({ outcome, completed, durationMs }: ShownEnd): void {
  print(summaryOf(outcome, completed, durationMs));
  if (outcome === "failed") {
    complain(`${completed.error_code}: ${completed.error_message}`);
    if (completed.error_detail !== null) complain(completed.error_detail);
  }
}

/** One line on how a run ended. */
function summaryOf(outcome: ShownEnd["outcome"], end: ShownEnd["completed"], durationMs: number): string {
  const word = outcome === "success" ? paint("green", "success") : paint("red", "failed");
  const read = `${count(end.source_record_count)} rows in the source`;
  const sent = `${count(end.records_processed)} sent, ${count(end.records_updated)} accepted, ${count(end.records_failed)} rejected`;
  const invalid =
    (end.source_record_invalids ?? 0) > 0 ? `, ${count(end.source_record_invalids)} invalid` : "";
  return `${word} in ${duration(durationMs)}: ${read}${invalid}; ${sent}`;
}
