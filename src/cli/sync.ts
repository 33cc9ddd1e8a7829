/** `egret sync`: what there is of syncs, and what holds back what starts one by itself. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { syncListCommand, syncShowCommand } from "./syncList.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface SyncOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

interface Done {
  name: string;
  isChanged: boolean;
  /** Whether egret.yaml pauses it, which only applying another file ends. */
  isPausedByFile: boolean;
}

/** The command, with its subcommands. */
export function syncCommand(): Command {
  return new Command("sync")
    .description("list syncs, show and operate one")
    .addCommand(syncListCommand())
    .addCommand(syncShowCommand())
    .addCommand(
      switchCommand("pause", true)
        .description(
          "start a sync by hand only: schedules, sequences and hooks start nothing until it is resumed",
        )
        .addHelpText(
          "after",
          `\nA run under way goes on. Applying an unchanged egret.yaml does not resume it.\n${EXIT_CODES_HELP}\n\nExample:\n  egret sync pause airports`,
        ),
    )
    .addCommand(
      switchCommand("resume", false)
        .description("let a paused sync start by itself again; what it missed is not caught up")
        .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret sync resume airports`),
    )
    .addHelpText("after", "\nExample:\n  egret sync pause airports");
}

function switchCommand(verb: "pause" | "resume", paused: boolean): Command {
  const command = new Command(verb)
    .argument("<sync>", "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object");
  return withDeskOptions(command).action(async (wanted: string, options: SyncOptions) => {
    const { workspace } = options;
    const done = await withDesk("syncs", options, (desk) =>
      desk.setPaused({ name: wanted, workspace }, paused),
    );
    const { name, isChanged, isPausedByFile: byFile } = done;
    if (options.json === true) printJson({ sync: name, paused: paused || byFile, changed: isChanged });
    else print(sentence(done, paused));
  });
}

function sentence({ name, isChanged, isPausedByFile }: Done, paused: boolean): string {
  if (!paused && isPausedByFile)
    return `Sync ${name} stays paused, since egret.yaml says \`paused: true\`: take that out and apply the file.`;
  if (!isChanged) return `Sync ${name} is ${paused ? "paused" : "not paused"} already.`;
  if (!paused) return `Sync ${name} is resumed; it starts by itself from its next tick on.`;
  return `Sync ${name} is paused; it starts by hand only until: egret sync resume ${name}`;
}
