/** `egret retention`: drops what is older than the settings say, or with --dry-run says what would go. */
import { Command } from "commander";
import { Unavailable } from "../domain/errors.ts";
import { applyRetention, type RetentionReport } from "../runtime/retention.ts";
import { bytes, counted } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

type RetentionCommandOptions = ReachOptions & { dryRun?: boolean; json?: boolean };

/** The command. */
export function retentionCommand(): Command {
  const command = new Command("retention")
    .description("drop what is older than the settings say (the role scheduler does it every hour)")
    .option("--dry-run", "say what would go, and drop nothing")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nEGRET_DELIVERY_RETENTION_DAYS: deliveries and attempts after their last event, by whole partitions; plans and settled" +
        "\n  batches after their run; accepted commands, 7 days at least: repeated later, one runs again." +
        "\nEGRET_EXCHANGE_RETENTION_DAYS: headers and bodies of requests, by whole days (UTC)." +
        "\nEGRET_RECORD_RETENTION_DAYS: rows of runs as they were sent or set aside, never longer than their deliveries." +
        "\nRuns and configuration changes stay for ever.\n\nExample:\n  egret retention --dry-run",
    );
  return withReachOptions(command).action(retain);
}

async function retain(options: RetentionCommandOptions): Promise<void> {
  const reach = await findServices(options);
  const isDryRun = options.dryRun === true;
  const rules = {
    deliveryDays: reach.config.deliveryRetentionDays,
    exchangeDays: reach.config.exchangeRetentionDays,
    recordDays: reach.config.recordRetentionDays,
  };
  const report = await withDatabase(reach, (database) => applyRetention({ database, rules, isDryRun }));
  if (report === null)
    throw new Unavailable("another process is dropping what is old: try again in a moment");
  if (options.json === true) printJson({ dry_run: isDryRun, ...report });
  else printReport(report, isDryRun);
}

function printReport({ partitions, rows }: RetentionReport, isDryRun: boolean): void {
  if (partitions.length === 0 && rows.length === 0) return print("nothing is old enough to go");
  const verb = paint("yellow", isDryRun ? "would drop" : "dropped");
  for (const { partition, bytes: size, isDropped } of partitions) {
    if (isDropped) print(`${verb} ${partition}  ${bytes(size)}`);
    else print(`${paint("red", "in use")} ${partition}  ${bytes(size)}: run it again later`);
  }
  for (const { table, rows: gone } of rows) print(`${verb} ${counted(gone, "row")} of ${table}`);
}
