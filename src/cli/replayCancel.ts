/** `egret replay cancel <id>`: stops a replay; what it began again by then stays begun. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { wholeNumber } from "./options.ts";
import { replayJson, replayText } from "./replayWords.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface CancelOptions extends DeskOptions {
  timeout: number;
  json?: boolean;
}

/** The command. */
export function replayCancelCommand(): Command {
  const command = new Command("cancel")
    .description("stop a replay; what it began again by then stays begun")
    .argument("<id>", "id of the replay", wholeNumber(1, 999_999_999_999_999))
    .option(
      "--timeout <seconds>",
      "how long to wait until its worker has stopped",
      wholeNumber(1, 86_400),
      15,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret replay cancel 5`);
  return withDeskOptions(command).action(cancel);
}

async function cancel(id: number, options: CancelOptions): Promise<void> {
  const replay = await withDesk("replays", options, (desk) => desk.cancel(id, options.timeout * 1_000));
  if (options.json === true) printJson(replayJson(replay));
  else print(`replay ${id} ${replayText(replay)}`);
}
