/** `egret records`: what became of each row of a run, as files, and of one key over the runs of a sync. */
import { Command } from "commander";
import { recordsExportCommand } from "./recordsExport.ts";
import { recordsFindCommand } from "./recordsFind.ts";
import { recordsListCommand } from "./recordsList.ts";

/** The command, with its subcommands. */
export function recordsCommand(): Command {
  return new Command("records")
    .description("show what became of each row of a run")
    .addCommand(recordsListCommand(), { isDefault: true })
    .addCommand(recordsExportCommand())
    .addCommand(recordsFindCommand())
    .addHelpText(
      "after",
      "\nRows are kept EGRET_RECORD_RETENTION_DAYS: those that were sent, and those that were set aside before.\n" +
        "\nExamples:\n  egret records 7011 --status rejected\n  egret records export 7011 --format csv > rows.csv\n" +
        "  egret records find airports --key LHR",
    );
}
