/** `egret alerts`: what is wrong with syncs now, and what was. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownAlert } from "./desks.ts";
import { count, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { paint, print, printJson, table } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface AlertsOptions extends DeskOptions {
  open?: boolean;
  sync?: string;
  workspace?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["alert", "sync", "state", "type", "run", "raised", "times", "resolved", "what"];
const RIGHT = new Set([0, 4, 6]);

/** The command. */
export function alertsCommand(): Command {
  const command = new Command("alerts")
    .description("list the alerts of syncs, newest first")
    .option("--open", "only those that are not resolved")
    .option("--sync <sync>", "only those of this sync, by name or id")
    .option(
      "--workspace <name>",
      "only those of this workspace, by name or id; needed with --sync when there are several",
    )
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret alerts --open");
  return withDeskOptions(command).action(async (options: AlertsOptions) => {
    const { sync, workspace, limit, open: isOpen = false } = options;
    const wanted = { sync, workspace, limit, isOpen };
    const alerts = await withDesk("alerts", options, (desk) => desk.list(wanted));
    if (options.json === true) for (const alert of alerts) printJson(alert);
    else if (alerts.length === 0) print(options.open === true ? "no open alerts" : "no alerts yet");
    else for (const line of table(HEADINGS, alerts.map(cells), RIGHT)) print(line);
  });
}

function cells(alert: ShownAlert): string[] {
  return [
    String(alert.id),
    alert.sync_name ?? `sync ${alert.sync_id}`,
    paintAlertState(alert.state),
    shortType(alert.type),
    String(alert.last_raised_run_id),
    dayAndTime(alert.raised_at),
    count(alert.times_raised),
    alert.resolved_at === null ? "-" : dayAndTime(alert.resolved_at),
    `${alert.message}: ${alert.details}`,
  ];
}

/** The state of an alert in its colour. */
export function paintAlertState(state: ShownAlert["state"]): string {
  return paint(state === "open" ? "red" : "green", state);
}

/** The type of an alert without what all of them end with. */
export function shortType(type: string): string {
  return type.replace(/AlertConfiguration$/, "");
}
