/** `egret trigger <sync>`: starts a run and, when asked, watches it to its end. */
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import { InvalidInput } from "../domain/errors.ts";
import type { EventData } from "../domain/event.ts";
import { failedDestinations } from "./connectionTest.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { TimedOut } from "./failures.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { count, duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import {
  findServices,
  type OpenLog,
  type ReachOptions,
  withDatabase,
  withLog,
  withReachOptions,
} from "./reach.ts";
import { checkCommandId, type RunAnswer, requestRun } from "./requestRun.ts";
import { RunScreen } from "./runScreen.ts";
import { complain, paint, print, printJson, StatusLine } from "./terminal.ts";
import { type RunEnd, watchRun } from "./watchRun.ts";

interface TriggerOptions extends ReachOptions {
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

type Triggered = Extract<RunAnswer, { kind: "triggered" }>;

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
    .option("--reason <text>", "who or what asks; stands in the run's history", "egret trigger")
    .option("--timeout <seconds>", "how long to wait until the run is taken up", wholeNumber(1, 86_400), 30)
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret trigger airports --watch`);
  return withReachOptions(command).action((sync: string, options: TriggerOptions) => trigger(sync, options));
}

async function trigger(syncName: string, options: TriggerOptions): Promise<void> {
  const id = checkCommandId(options.id ?? randomUUID());
  const reach = await findServices(options);
  await withDatabase(reach, async ({ db }) => {
    const workspace = await findWorkspace(db, options.workspace);
    const sync = await findSyncNamed(db, workspace, syncName);
    await withLog(reach, async (open) => {
      const timeoutMs = options.timeout * 1_000;
      const request = {
        workspaceId: workspace.id,
        syncId: sync.id,
        isFull: options.full === true,
        allowDeletes: options.allowDeletes,
        allowRejects: options.allowRejects,
        id,
        timeoutMs,
      };
      const answer = await requestRun(open, db, { ...request, reason: options.reason });
      const run = acceptedRun(answer, { id, timeoutS: options.timeout });
      for (const name of await failedDestinations(db, sync.id))
        complain(
          `${paint("yellow", "warning")} destination ${name} failed its last connection test; test it again with: egret destination test ${name}`,
        );
      if (options.watch === true) await watch(open, run, options);
      else report(run, options);
    });
  });
}

function acceptedRun(answer: RunAnswer, { id, timeoutS }: { id: string; timeoutS: number }): Triggered {
  if (answer.kind === "triggered") return answer;
  if (answer.kind === "refused")
    throw new InvalidInput(`refused (${answer.refusal.code}): ${answer.refusal.message}`);
  throw new TimedOut(
    `nothing took the command within ${timeoutS} s: is \`egret start\` with the role \`worker\` running? ` +
      `The command waits in the queue as ${id} and starts a run as soon as one does.`,
  );
}

function report({ run }: Triggered, { json }: TriggerOptions): void {
  const { workspaceId: workspace_id, syncId: sync_id, runId: run_id } = run;
  if (json === true) printJson({ run_id, sync_id, workspace_id, status: "triggered" });
  else print(`run ${run_id} is triggered; see it with: egret run ${run_id}`);
}

async function watch(
  { connection }: OpenLog,
  { run, sequence }: Triggered,
  options: TriggerOptions,
): Promise<void> {
  const screen = options.json === true ? null : new RunScreen(new StatusLine());
  if (screen !== null) print(paint("bold", `run ${run.runId}`));
  const end = await watchRun({
    connection,
    run,
    fromSequence: sequence,
    startTimeoutMs: options.timeout * 1_000,
    onEvent: (event) => screen?.onEvent(event),
    onProgress: (progress) => screen?.onProgress(progress),
  });
  if (options.json === true) printJson(toJson(end));
  else printEnd(end);
  if (end.outcome === "failed") process.exitCode = EXIT.failed;
}

function toJson({ outcome, completed, durationMs }: RunEnd): object {
  const { sync_run_id: run_id, status: _status, ...rest } = completed;
  return { run_id, status: outcome, duration_ms: durationMs, ...rest };
}

function printEnd({ outcome, completed, durationMs }: RunEnd): void {
  print(summaryOf(outcome, completed, durationMs));
  if (outcome === "failed") {
    complain(`${completed.error_code}: ${completed.error_message}`);
    if (completed.error_detail !== null) complain(completed.error_detail);
  }
}

/** One line on how a run ended. */
function summaryOf(outcome: RunEnd["outcome"], end: EventData<"sync.completed">, durationMs: number): string {
  const word = outcome === "success" ? paint("green", "success") : paint("red", "failed");
  const read = `${count(end.source_record_count)} rows in the source`;
  const sent = `${count(end.records_processed)} sent, ${count(end.records_updated)} accepted, ${count(end.records_failed)} rejected`;
  const invalid =
    (end.source_record_invalids ?? 0) > 0 ? `, ${count(end.source_record_invalids)} invalid` : "";
  return `${word} in ${duration(durationMs)}: ${read}${invalid}; ${sent}`;
}
