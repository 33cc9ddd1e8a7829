/** `egret cancel <run>`: stops a run; what it sent by then stays sent. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { CanceledRun } from "./desks.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { count } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { parseRunId } from "./runInLog.ts";
import { paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface CancelOptions extends DeskOptions {
  timeout: number;
  wait: boolean;
  json?: boolean;
}

/** The command. */
export function cancelCommand(): Command {
  const command = new Command("cancel")
    .description("stop a run; requests under way end and count, nothing new is sent")
    .argument("<run>", "id of the run, see `egret runs`")
    .option("--no-wait", "do not wait for the run's end")
    .option(
      "--timeout <seconds>",
      "how long to wait for the worker, and then for the end",
      wholeNumber(1, 86_400),
      60,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret cancel 7011`);
  return withDeskOptions(command).action((id: string, options: CancelOptions) => cancel(id, options));
}

async function cancel(id: string, options: CancelOptions): Promise<void> {
  const runId = parseRunId(id);
  const wish = { timeoutMs: options.timeout * 1_000, isAwaited: options.wait };
  const end = await withDesk("runs", options, (desk) => desk.cancel(runId, wish));
  if (options.json === true)
    printJson({ run_id: runId, ...end, status: end === null ? "canceling" : "canceled" });
  else print(`run ${runId} ${end === null ? "is being canceled" : wordsOf(end)}`);
}

function wordsOf({ records_updated: sent = null }: CanceledRun): string {
  const rows = sent === null ? "nothing was sent" : `${count(sent)} rows were accepted before`;
  return `is ${paint("yellow", "canceled")}; ${rows}`;
}
