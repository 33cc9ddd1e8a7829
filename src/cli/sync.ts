/** `egret sync pause|resume`: hold back what starts a sync by itself. */
import { Command } from "commander";
import type { Kysely } from "kysely";
import { setPaused } from "../configuration/operations.ts";
import type { Database } from "../projections/database.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

interface SyncOptions extends ReachOptions {
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
    .description("operate one sync")
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
  return withReachOptions(command).action(async (wanted: string, options: SyncOptions) => {
    const reach = await findServices(options);
    const box = secretBoxOf(reach);
    const done = await withDatabase(reach, async ({ db }): Promise<Done> => {
      const found = await findSyncNamed(db, await findWorkspace(db, options.workspace), wanted);
      const operation = { db, box, kind: "sync", id: found.id, actor: `egret sync ${verb}` } as const;
      const isChanged = await setPaused(operation, paused);
      return { name: found.name, isChanged, isPausedByFile: await isPausedByFile(db, found.id) };
    });
    const { name, isChanged, isPausedByFile: byFile } = done;
    if (options.json === true) printJson({ sync: name, paused: paused || byFile, changed: isChanged });
    else print(sentence(done, paused));
  });
}

async function isPausedByFile(db: Kysely<Database>, id: number): Promise<boolean> {
  const row = await db.selectFrom("egret.syncs").select("options").where("id", "=", id).executeTakeFirst();
  return row?.options["paused"] === true;
}

function sentence({ name, isChanged, isPausedByFile }: Done, paused: boolean): string {
  if (!paused && isPausedByFile)
    return `Sync ${name} stays paused, since egret.yaml says \`paused: true\`: take that out and apply the file.`;
  if (!isChanged) return `Sync ${name} is ${paused ? "paused" : "not paused"} already.`;
  if (!paused) return `Sync ${name} is resumed; it starts by itself from its next tick on.`;
  return `Sync ${name} is paused; it starts by hand only until: egret sync resume ${name}`;
}
