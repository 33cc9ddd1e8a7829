/** `egret destination`: what an operator does with one destination. */
import { Command } from "commander";
import { destinationTestCommand } from "./destinationTest.ts";
import { pauseCommand, resumeCommand } from "./pauseTarget.ts";

/** The command, with its subcommands. */
export function destinationCommand(): Command {
  return new Command("destination")
    .description("operate one destination")
    .addCommand(destinationTestCommand())
    .addCommand(pauseCommand("destination"))
    .addCommand(resumeCommand("destination"))
    .addHelpText("after", "\nExample:\n  egret destination pause ops");
}
