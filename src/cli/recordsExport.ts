/** `egret records export <run>`: every row of a run with what became of it, as NDJSON or CSV, however many there are. */
import { once } from "node:events";
import { Command, Option } from "commander";
import { areRecordsKept } from "../engine/recordQueries.ts";
import { readRecords } from "../engine/records.ts";
import { recordLine, recordsCsv } from "../engine/recordText.ts";
import { findServices, withDatabase, withReachOptions } from "./reach.ts";
import { type RecordOptions, recordFilter, withRecordOptions } from "./recordOptions.ts";
import { complain } from "./terminal.ts";

interface ExportOptions extends RecordOptions {
  format: "ndjson" | "csv";
  escapeFormulas?: boolean;
}

/** The command. */
export function recordsExportCommand(): Command {
  const command = new Command("export")
    .description("write every row of a run to standard output")
    .argument("<run>", "id of the run")
    .addOption(
      new Option("--format <format>", "one JSON object a line, or CSV with a header")
        .choices(["ndjson", "csv"])
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
  return withReachOptions(command).action(exportRecords);
}

async function exportRecords(runId: string, options: ExportOptions): Promise<void> {
  const { format, escapeFormulas: escapesFormulas = false } = options;
  const reach = await findServices(options);
  await withDatabase(reach, async ({ db }) => {
    const filter = await recordFilter(db, runId, options);
    if (!(await areRecordsKept(db, filter.runId)))
      complain("Rows of this run are not kept any more, or not all of them: the export is not whole.");
    if (format === "csv") await write(recordsCsv([], { hasHeader: true, escapesFormulas }));
    for await (const records of readRecords(db, filter)) {
      const text =
        format === "csv"
          ? recordsCsv(records, { hasHeader: false, escapesFormulas })
          : records.map((record) => `${recordLine(record)}\n`).join("");
      await write(text);
    }
  });
}

/** Waits for whoever reads, so that what they have not read yet does not pile up here. */
async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
