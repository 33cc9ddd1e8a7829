/** `egret records export <run>`: every row of a run with what became of it, as NDJSON or CSV, however many there are. */
import { once } from "node:events";
import { Command, Option } from "commander";
import { EXPORT_FORMATS, type ExportFormat } from "../engine/recordExport.ts";
import { withDeskOptions } from "./deskOptions.ts";
import { type RecordOptions, wantedRecords, withRecordOptions } from "./recordOptions.ts";
import { complain } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface ExportOptions extends RecordOptions {
  format: ExportFormat;
  escapeFormulas?: boolean;
}

/** The command. */
export function recordsExportCommand(): Command {
  const command = new Command("export")
    .description("write every row of a run to standard output")
    .argument("<run>", "id of the run")
    .addOption(
      new Option("--format <format>", "one JSON object a line, or CSV with a header")
        .choices(EXPORT_FORMATS)
        .default("ndjson"),
    )
    .option(
      "--escape-formulas",
      "of CSV for a spreadsheet: put ' in front of values that it would run, such as =1+1 or -5",
    );
  withRecordOptions(command).addHelpText(
    "after",
    "\nExample:\n  egret records export 7011 --format csv --status rejected --escape-formulas > rejected.csv",
  );
  return withDeskOptions(command).action(exportRecords);
}

async function exportRecords(runId: string, options: ExportOptions): Promise<void> {
  const { format, escapeFormulas: escapesFormulas = false } = options;
  const wanted = wantedRecords(runId, options);
  await withDesk("records", options, async (desk) => {
    const onBegin = ({ isKept }: { isKept: boolean }) => {
      if (!isKept)
        complain("Rows of this run are not kept any more, or not all of them: the export is not whole.");
    };
    for await (const text of desk.export(wanted, { format, escapesFormulas }, onBegin)) await write(text);
  });
}

/** Waits for whoever reads, so that what they have not read yet does not pile up here. */
async function write(text: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
