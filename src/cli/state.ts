/** `egret state <sync>`: where is kept what a sync's destination has accepted, and how much it is. */
import { Command } from "commander";
import { readSync } from "../configuration/store.ts";
import { NotFound } from "../domain/errors.ts";
import { reportState } from "../engine/stateReport.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { counted } from "./format.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

interface StateOptions extends ReachOptions {
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function stateCommand(): Command {
  const command = new Command("state")
    .description("show where Egret keeps what a sync has sent, and how many rows it is")
    .argument("<sync>", "name or id of the sync")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nIt stands in Egret's Postgres, or with `sync_engine: advanced` in a schema of the source. Changed there, the next\n" +
        `run moves it and sends nothing again.\n${EXIT_CODES_HELP}\n\nExample:\n  egret state airports`,
    );
  return withReachOptions(command).action((sync: string, options: StateOptions) => show(sync, options));
}

async function show(syncName: string, options: StateOptions): Promise<void> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  const { sync, report } = await withDatabase(reach, async (database) => {
    const { id } = await findSyncNamed(
      database.db,
      await findWorkspace(database.db, options.workspace),
      syncName,
    );
    const found = await readSync(database.db, box, id);
    if (found === null) throw new NotFound(`there is no sync "${syncName}"`);
    return { sync: found, report: await reportState(database, found) };
  });
  if (options.json === true) {
    printJson({ sync: sync.name, ...report });
    return;
  }
  const where =
    report.schema === null ? "Egret's Postgres" : `schema ${report.schema} of source ${sync.source.name}`;
  if (report.rows === null) print(`${sync.name}: no state yet in ${where}`);
  else print(`${sync.name}: ${counted(report.rows, "row")} in ${where}, ${megabytes(report.bytes ?? 0)}`);
  const wanted = sync.source.stateSchema ?? null;
  if (wanted !== report.schema) print(paint("dim", "the next run moves it, and sends nothing again"));
  if (report.waiting > 0)
    print(`${counted(report.waiting, "row")} accepted that the source is still to be told`);
  if (report.lost !== null) print(paint("yellow", `lost: ${report.lost}`));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MB`;
}
