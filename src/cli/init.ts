/** `egret init`: readies an installation whose servers are there: the schema, and the first token of its API. */
import { Command } from "commander";
import { migrateToLatest } from "../projections/migrate.ts";
import { firstToken } from "./firstToken.ts";
import { databaseUrlOf, findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

const HELP = `
The token is personal: it makes workspaces and reads their API keys. It is shown this once; where tokens were made before,
none is made. Running it again changes nothing.

Example:
  egret init --json | jq -r .token`;

/** The command. */
export function initCommand(): Command {
  const command = new Command("init")
    .description("ready a new installation: its schema, and the first token of its API, shown once")
    .option("--json", "print one JSON object")
    .addHelpText("after", HELP);
  return withReachOptions(command).action(async (options: ReachOptions & { json?: boolean }) => {
    const reach = await findServices(options);
    // Opened once before, for its message when the server is down.
    await withDatabase(reach, async () => undefined);
    const migrations = await migrateToLatest(databaseUrlOf(reach));
    const token = await withDatabase(reach, ({ db }) => firstToken(db, "egret init"));
    if (options.json === true) printJson({ migrations, token });
    else say(migrations.length, token);
  });
}

function say(migrations: number, token: string | null): void {
  print(migrations === 0 ? "the database is up to date" : `the database has had ${migrations} migrations`);
  if (token === null) {
    print("there are tokens already; make another with: egret token create");
    return;
  }
  print("the first token of its API, personal and shown this once; more with: egret token create");
  print(`  ${paint("bold", token)}`);
}
