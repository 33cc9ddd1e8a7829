/** `egret webhook list`: who is told what, and how their endpoints are. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownWebhook } from "./desks.ts";
import { paint, print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface ListOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

const HEADINGS = ["id", "webhook", "state", "health", "endpoint", "events"];
const RIGHT = new Set([0]);

/** The command. */
export function webhookListCommand(): Command {
  const command = new Command("list")
    .description("list webhooks by name")
    .option("--workspace <name>", "only those of this workspace, by name or id")
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret webhook list");
  return withDeskOptions(command).action(async (options: ListOptions) => {
    const { workspace } = options;
    const webhooks = await withDesk("webhooks", options, (desk) => desk.list({ workspace }));
    if (options.json === true) for (const webhook of webhooks) printJson(webhook);
    else if (webhooks.length === 0) print("no webhooks yet; write an egret.yaml and run: egret apply");
    else for (const line of table(HEADINGS, webhooks.map(cells), RIGHT)) print(line);
  });
}

function cells({ id, name, enabled, paused, health, endpoint, events }: ShownWebhook): string[] {
  const state = enabled ? (paused ? paint("yellow", "paused") : "enabled") : paint("red", "disabled");
  return [String(id), name, state, health, endpoint, events.join(", ")];
}
