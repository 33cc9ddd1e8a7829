/** `egret destination test <destination>`: one request without rows now, and whether it passed. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { testLines } from "./planOutput.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface TestOptions extends DeskOptions {
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
  return withDeskOptions(command).action(async (wanted: string, options: TestOptions) => {
    const { workspace } = options;
    const tested = await withDesk("destinations", options, (desk) => desk.test({ name: wanted, workspace }));
    if (options.json === true) printJson(tested);
    else for (const line of testLines([tested])) print(line);
    if (!tested.ok) process.exitCode = EXIT.failed;
  });
}
