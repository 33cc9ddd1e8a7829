/** `egret webhook`: what there is of webhooks, and what an operator does with one; each subcommand has a file of its own. */
import { Command } from "commander";
import { pauseCommand, resumeCommand } from "./pauseTarget.ts";
import { webhookListCommand } from "./webhookList.ts";
import { webhookPingCommand } from "./webhookPing.ts";
import { webhookRotateSecretCommand } from "./webhookRotateSecret.ts";
import { webhookDisableCommand, webhookEnableCommand } from "./webhookSwitch.ts";

/** The command, with its subcommands. */
export function webhookCommand(): Command {
  return new Command("webhook")
    .description("list webhooks, operate one")
    .addCommand(webhookListCommand())
    .addCommand(webhookEnableCommand())
    .addCommand(webhookDisableCommand())
    .addCommand(pauseCommand("webhook"))
    .addCommand(resumeCommand("webhook"))
    .addCommand(webhookPingCommand())
    .addCommand(webhookRotateSecretCommand())
    .addHelpText("after", "\nExample:\n  egret webhook enable pager");
}
