/** `egret replay`: deliver many ended deliveries again, or the events that a webhook missed, as a job that survives crashes. */
import { Command } from "commander";
import { replayCancelCommand } from "./replayCancel.ts";
import { replayListCommand } from "./replayList.ts";
import { replayStartCommand } from "./replayStart.ts";
import { replayWatchCommand } from "./replayWatch.ts";

/** The command, with its subcommands. */
export function replayCommand(): Command {
  return new Command("replay")
    .description("deliver again what a filter finds, or what a webhook missed")
    .addCommand(replayStartCommand())
    .addCommand(replayWatchCommand())
    .addCommand(replayListCommand())
    .addCommand(replayCancelCommand())
    .addHelpText(
      "after",
      "\nExamples:\n  egret replay start --webhook pager --state dead --since 24h --dry-run\n" +
        "  egret replay start --missed --webhook pager --since 7d --watch",
    );
}
