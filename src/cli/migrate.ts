/** `egret migrate`: brings Egret's own Postgres to the newest schema. */
import { Command } from "commander";
import { migrateToLatest } from "../projections/migrate.ts";
import { databaseUrlOf, findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

/** The command. */
export function migrateCommand(): Command {
  const command = new Command("migrate")
    .description("bring Egret's Postgres to the newest schema (egret start does it too)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nMigrations only go forward; running it again changes nothing.\n\nExample:\n  egret migrate",
    );
  return withReachOptions(command).action(async (options: ReachOptions & { json?: boolean }) => {
    const reach = await findServices(options);
    // Opened once before, for its message when the server is down.
    await withDatabase(reach, async () => undefined);
    const migrations = await migrateToLatest(databaseUrlOf(reach));
    if (options.json === true) printJson({ migrations });
    else if (migrations.length === 0) print("the database is up to date");
    else for (const name of migrations) print(`migrated ${name}`);
  });
}
