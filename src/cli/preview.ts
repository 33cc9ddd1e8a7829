/** `egret preview <sync>`: the first requests as a run would send them; nothing is sent, and nothing is written. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { counted } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { complain, paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface PreviewOptions extends DeskOptions {
  rows: number;
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function previewCommand(): Command {
  const command = new Command("preview")
    .description("show the first rows of a sync exactly as a run would send them; nothing is sent")
    .argument("<sync>", "name or id of the sync")
    .option(
      "--rows <count>",
      "how many rows, in the source's own order; through the API 100 at most",
      wholeNumber(1, 1_000),
      5,
    )
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object, with each body as a text")
    .addHelpText(
      "after",
      "\nWhether keys are repeated, and what was sent before, is not asked: see `egret dry-run`.\n" +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret preview airports --rows 2`,
    );
  return withDeskOptions(command).action((sync: string, options: PreviewOptions) => preview(sync, options));
}

async function preview(name: string, options: PreviewOptions): Promise<void> {
  const { workspace, rows } = options;
  const found = await withDesk("previews", options, (desk) => desk.preview({ name, workspace, rows }));
  const { requests, invalid } = found;
  if (options.json === true) {
    printJson(found);
    return;
  }
  for (const { method, url, rows: held, body } of requests) {
    complain(paint("dim", `# ${method} ${url}: ${counted(held, "row")}`));
    print(body);
  }
  for (const why of invalid) complain(paint("yellow", `# a row would be set aside: ${why}`));
  if (requests.length === 0 && invalid.length === 0) complain("# the source has no rows");
}
