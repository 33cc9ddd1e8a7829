/** `egret whoami`: which Egret commands work with as things stand, and as whom. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findServices } from "./reach.ts";
import { findRemote } from "./remote/findRemote.ts";
import { openRemote } from "./remote/openRemote.ts";
import { print, printJson } from "./terminal.ts";

/** The command. */
export function whoamiCommand(): Command {
  const command = new Command("whoami")
    .description("show which Egret commands work with, and for which workspace the token is")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret whoami`);
  return withDeskOptions(command).action(async (options: DeskOptions & { json?: boolean }) => {
    const isJson = options.json === true;
    const remote = await findRemote(options);
    if (remote === null) {
      const { databaseUrl, natsUrl, config } = await findServices(options);
      const isConfigured = databaseUrl !== null && natsUrl !== null;
      if (isJson) printJson({ url: null, configured: isConfigured });
      else if (isConfigured) print("Commands work with Postgres and NATS themselves, for all workspaces.");
      else
        print(
          `No server is logged in to, and no services are configured or run in ${config.dir}: egret login <url>`,
        );
      return;
    }
    const { data: workspace } = await openRemote(remote).getOwnWorkspace();
    if (isJson) printJson({ url: remote.url, workspace: workspace.name, workspace_id: workspace.id });
    else print(`Commands work with ${remote.url}, workspace ${workspace.name} (${workspace.id}).`);
  });
}
