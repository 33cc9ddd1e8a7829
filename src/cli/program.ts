/** The command line as a whole: its commands, its help, and what a wrong word leads to. */
import { Command } from "commander";
import { VERSION } from "../version.ts";
import { applyCommand } from "./apply.ts";
import { auditCommand } from "./audit.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { environmentHelp } from "./environmentHelp.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { listenCommand } from "./listen.ts";
import { migrateCommand } from "./migrate.ts";
import { projectionsCommand } from "./projections.ts";
import { runCommand } from "./run.ts";
import { runsCommand } from "./runs.ts";
import { startCommand } from "./start.ts";
import { tailCommand } from "./tail.ts";
import { triggerCommand } from "./trigger.ts";

/** Builds the program; parsing it throws CommanderError instead of ending the process. */
export function buildProgram(): Command {
  const program = new Command("egret")
    .description(
      "Open, self-hosted reverse ETL with an audit trail: SQL models to webhooks, on an event log.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .showSuggestionAfterError(true)
    .showHelpAfterError("(add --help for what there is)")
    .exitOverride()
    .addHelpText(
      "after",
      `\nStart with:\n  egret demo     the whole thing in half a minute, on servers of its own\n${environmentHelp()}\n${EXIT_CODES_HELP}`,
    );
  const commands = [
    demoCommand(),
    startCommand(),
    applyCommand(),
    triggerCommand(),
    runsCommand(),
    runCommand(),
    tailCommand(),
    auditCommand(),
    listenCommand(),
    projectionsCommand(),
    migrateCommand(),
    doctorCommand(),
  ];
  for (const command of commands) program.addCommand(inheriting(command, program));
  return program;
}

/** Commands that are made by themselves do not take over settings of the program unless told to. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheriting(child, command);
  return command;
}
