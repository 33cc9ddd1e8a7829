/** `egret destination test <destination>`: one request without rows now, and whether it passed. */
import { Command } from "commander";
import { readOutbound } from "../security/outboundPools.ts";
import { testDestinations } from "./connectionTest.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { findDestinationNamed, findWorkspace } from "./findConfigured.ts";
import { testLines } from "./planOutput.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

interface TestOptions extends ReachOptions {
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function destinationTestCommand(): Command {
  const command = new Command("test")
    .description("test the connection to a destination, as `egret apply` does for those it changed")
    .argument("<destination>", "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret destination test ops`);
  return withReachOptions(command).action(async (wanted: string, options: TestOptions) => {
    const reach = await findServices(options);
    const box = secretBoxOf(reach);
    readOutbound(reach.outbound);
    const tested = await withDatabase(reach, async ({ db }) => {
      const { id } = await findDestinationNamed(db, await findWorkspace(db, options.workspace), wanted);
      return testDestinations({ db, box }, [id], reach.outbound);
    });
    if (options.json === true) for (const each of tested) printJson(each);
    else for (const line of testLines(tested)) print(line);
    if (!tested.every(({ ok }) => ok)) process.exitCode = EXIT.failed;
  });
}
