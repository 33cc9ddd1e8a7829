/** `egret deliveries`: list and search deliveries, show one with its attempts, send one again. */
import { Command } from "commander";
import { deliveriesListCommand } from "./deliveriesList.ts";
import { deliveriesRedeliverCommand } from "./deliveriesRedeliver.ts";
import { deliveriesShowCommand } from "./deliveriesShow.ts";

/** The command, with its subcommands. */
export function deliveriesCommand(): Command {
  return new Command("deliveries")
    .description("list and search deliveries, show one, send one again")
    .addCommand(deliveriesListCommand())
    .addCommand(deliveriesShowCommand())
    .addCommand(deliveriesRedeliverCommand())
    .addHelpText("after", "\nExample:\n  egret deliveries list --state dead --since 24h");
}
