/** `egret deliveries redeliver <id>`: sends an ended delivery again, with the same id and the same bytes. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface RedeliverOptions extends DeskOptions {
  json?: boolean;
}

/** The command. */
export function deliveriesRedeliverCommand(): Command {
  const command = new Command("redeliver")
    .description("send an ended delivery again: same id, same bytes, the whole schedule once more")
    .argument("<id>", "id of the delivery, such as 7011-3-14")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nReceivers that know X-Event-Id or webhook-id see that they had it before. For many at once: egret replay.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret deliveries redeliver 7011-3-14`,
    );
  return withDeskOptions(command).action(async (id: string, options: RedeliverOptions) => {
    const { state, version } = await withDesk("deliveries", options, (desk) => desk.redeliver(id));
    if (options.json === true) printJson({ delivery_id: id, state, version });
    else print(`delivery ${id} begins again; see how it goes with: egret deliveries show ${id}`);
  });
}
