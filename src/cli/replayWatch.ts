/** `egret replay watch <id>`: shows how far a replay is until it has ended. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ReplaysDesk } from "./desks.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { wholeNumber } from "./options.ts";
import { progressText, replayJson, replayText } from "./replayWords.ts";
import { complain, print, printJson, StatusLine } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

/** The command. */
export function replayWatchCommand(): Command {
  const command = new Command("watch")
    .description("show how far a replay is, until it has ended")
    .argument("<id>", "id of the replay", wholeNumber(1, 999_999_999_999_999))
    .option("--json", "print one JSON object at the end")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret replay watch 5`);
  return withDeskOptions(command).action((id: number, options: DeskOptions & { json?: boolean }) =>
    withDesk("replays", options, (desk) => watchReplay(desk, id, { isJson: options.json === true })),
  );
}

/**
 * Shows progress until the replay has ended, and how it ended.
 * @throws NotFound when there is none of that id.
 */
export async function watchReplay(
  desk: ReplaysDesk,
  id: number,
  { isJson }: { isJson: boolean },
): Promise<void> {
  const status = new StatusLine();
  try {
    const replay = await desk.watch(id, (progress) => {
      if (!isJson) status.update(progressText(progress));
    });
    status.clear();
    if (isJson) printJson(replayJson(replay));
    else print(`replay ${id} ${replayText(replay)}`);
    if (replay.state !== "completed") process.exitCode = EXIT.failed;
    if (replay.error !== null && !isJson) complain(replay.error);
  } finally {
    status.clear();
  }
}
