/** `egret alerts`: what is wrong with syncs now, and what was. */
import { Command } from "commander";
import { type ListedAlert, listAlerts } from "../projections/alerts.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { count, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson, table } from "./terminal.ts";

interface AlertsOptions extends ReachOptions {
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
  return withReachOptions(command).action(async (options: AlertsOptions) => {
    const reach = await findServices(options);
    const alerts = await withDatabase(reach, async ({ db }) => {
      const { sync, workspace, limit } = options;
      const isOpen = options.open === true;
      if (sync === undefined && workspace === undefined) return listAlerts(db, { isOpen, limit });
      const found = await findWorkspace(db, workspace);
      if (sync === undefined) return listAlerts(db, { workspaceId: found.id, isOpen, limit });
      return listAlerts(db, { syncId: (await findSyncNamed(db, found, sync)).id, isOpen, limit });
    });
    if (options.json === true) for (const alert of alerts) printJson(alert);
    else if (alerts.length === 0) print(options.open === true ? "no open alerts" : "no alerts yet");
    else for (const line of table(HEADINGS, alerts.map(cells), RIGHT)) print(line);
  });
}

function cells(alert: ListedAlert): string[] {
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
export function paintAlertState(state: ListedAlert["state"]): string {
  return paint(state === "open" ? "red" : "green", state);
}

/** The type of an alert without what all of them end with. */
export function shortType(type: string): string {
  return type.replace(/AlertConfiguration$/, "");
}
