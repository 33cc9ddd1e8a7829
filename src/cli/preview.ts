/** `egret preview <sync>`: the first requests as a run would send them; nothing is sent, and nothing is written. */
import { Command } from "commander";
import { readSync } from "../configuration/store.ts";
import { NotFound } from "../domain/errors.ts";
import { type PreviewedRequest, previewSync } from "../engine/preview.ts";
import { shownRequest } from "../runtime/trials/testSync.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { counted } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { complain, paint, print, printJson } from "./terminal.ts";

interface PreviewOptions extends ReachOptions {
  rows: number;
  workspace?: string;
  json?: boolean;
}

/** Stands for the id that the run would have. */
const NO_RUN = 0;

/** The command. */
export function previewCommand(): Command {
  const command = new Command("preview")
    .description("show the first rows of a sync exactly as a run would send them; nothing is sent")
    .argument("<sync>", "name or id of the sync")
    .option("--rows <count>", "how many rows, in the source's own order", wholeNumber(1, 1_000), 5)
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object, with each body as a text")
    .addHelpText(
      "after",
      "\nWhether keys are repeated, and what was sent before, is not asked: see `egret dry-run`.\n" +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret preview airports --rows 2`,
    );
  return withReachOptions(command).action((sync: string, options: PreviewOptions) => preview(sync, options));
}

async function preview(syncName: string, options: PreviewOptions): Promise<void> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  const sync = await withDatabase(reach, async ({ db }) => {
    const workspace = await findWorkspace(db, options.workspace);
    const { id } = await findSyncNamed(db, workspace, syncName);
    return readSync(db, box, id);
  });
  if (sync === null) throw new NotFound(`there is no sync "${syncName}"`);
  const { requests, invalid } = await previewSync({ sync, runId: NO_RUN, at: new Date() }, options.rows);
  if (options.json === true) {
    printJson({ requests: requests.map((request) => asJson(sync.destination, request)), invalid });
    return;
  }
  for (const request of requests) {
    const { method, url } = shownRequest(sync.destination, request);
    complain(paint("dim", `# ${method} ${url}: ${counted(request.rows, "row")}`));
    print(request.body.toString("utf8"));
  }
  for (const why of invalid) complain(paint("yellow", `# a row would be set aside: ${why}`));
  if (requests.length === 0 && invalid.length === 0) complain("# the source has no rows");
}

function asJson(destination: Parameters<typeof shownRequest>[0], request: PreviewedRequest): object {
  return { ...shownRequest(destination, request), rows: request.rows, body: request.body.toString("utf8") };
}
