/** `egret test-sync <sync>`: sends one record to the sync's destination and shows what was said. */
import { Command } from "commander";
import type { TestExchange } from "../engine/trials.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { TrialEnd } from "./desks.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { complain, paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface TestOptions extends DeskOptions {
  key?: string;
  workspace?: string;
  timeout: number;
  json?: boolean;
}

/** The command. */
export function testSyncCommand(): Command {
  const command = new Command("test-sync")
    .description("send one record of a sync to its destination, and show request and answer")
    .argument("<sync>", "name or id of the sync")
    .option("--key <key>", "key of the row to send; left out: the first valid row in the order of keys")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--timeout <seconds>", "how long to wait until it is taken up", wholeNumber(1, 86_400), 30)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nThe sync's state does not change: a run sends the row all the same. Secrets are not shown. The exit code is 1\n" +
        `when the record is not accepted.\n${EXIT_CODES_HELP}\n\nExample:\n  egret test-sync airports --key LHR`,
    );
  return withDeskOptions(command).action((sync: string, options: TestOptions) => testSync(sync, options));
}

async function testSync(syncName: string, options: TestOptions): Promise<void> {
  const { key, workspace, timeout } = options;
  const wish = { name: syncName, workspace, key, timeoutMs: timeout * 1_000 };
  const { tried, exchange } = await withDesk("trials", options, (desk) => desk.test(wish));
  if (options.json === true) printJson({ ...resultOf(tried), ...exchange });
  else printTest(tried, exchange);
  if (resultOf(tried).outcome !== "accepted") process.exitCode = EXIT.failed;
}

function resultOf({ runId: run_id, end }: TrialEnd): {
  run_id: number;
  outcome: string;
  error_code?: string;
  error_message?: string;
  error_detail?: string | null;
} {
  if (end.type === "trial.completed") return { run_id, outcome: "unknown", ...end.data.test };
  const { error_code, error_message, error_detail } = end.data;
  return { run_id, outcome: "not sent", error_code, error_message, error_detail };
}

function printTest({ runId, end }: TrialEnd, exchange: TestExchange | null): void {
  if (end.type === "trial.failed") {
    complain(`${end.data.error_code}: ${end.data.error_message}`);
    if (end.data.error_detail !== null) complain(end.data.error_detail);
    return;
  }
  const outcome = end.data.test?.outcome ?? "unknown";
  const why = end.data.test?.error ?? null;
  const color = outcome === "accepted" ? "green" : "red";
  print(`test run ${runId}: the record was ${paint(color, outcome)}${why === null ? "" : ` (${why})`}`);
  if (exchange === null) return;
  const { request, response } = exchange;
  print(paint("bold", `\n> ${request.method} ${request.url}`));
  for (const line of headerLines(request.headers)) print(`> ${line}`);
  print(`>\n> ${request.body}`);
  const status =
    response.http_status === null ? (response.error ?? "no answer") : `HTTP ${response.http_status}`;
  print(paint("bold", `\n< ${status} in ${duration(response.duration_ms)}`));
  for (const line of headerLines(response.headers ?? {})) print(`< ${line}`);
  if (response.body !== null && response.body !== "") print(`<\n< ${response.body}`);
}

function headerLines(headers: Record<string, string | string[] | undefined>): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each) => `${name}: ${each}`),
  );
}
