/** `egret alert show <id>`: one alert from its first raise to its resolution, with its events. */
import { Command } from "commander";
import { NotFound } from "../domain/errors.ts";
import type { AnyEvent } from "../domain/event.ts";
import { paintAlertState, shortType } from "./alerts.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownAlert } from "./desks.ts";
import { eventLine } from "./eventLine.ts";
import { counted, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

/** The command, with its one subcommand. */
export function alertCommand(): Command {
  return new Command("alert")
    .description("show one alert")
    .addCommand(alertShowCommand())
    .addHelpText("after", "\nExample:\n  egret alert show 501");
}

function alertShowCommand(): Command {
  const command = new Command("show")
    .description("show one alert with its runs, its texts and its events")
    .argument(
      "<id>",
      "id of the alert: the alert_instance_id that webhooks get",
      wholeNumber(1, 999_999_999_999_999),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  egret alert show 501");
  return withDeskOptions(command).action(async (id: number, options: DeskOptions & { json?: boolean }) => {
    const found = await withDesk("alerts", options, (desk) => desk.show(id));
    if (found === null) throw new NotFound(`there is no alert ${id}; \`egret alerts\` shows the latest`);
    if (options.json === true) printJson({ ...found.alert, events: found.events });
    else printAlert(found.alert, found.events);
  });
}

const RESOLUTIONS: Readonly<Record<NonNullable<ShownAlert["resolution"]>, string>> = {
  recovered: "recovered",
  moment: "over as it happened",
  configuration_deleted: "its configuration was deleted; webhooks were not told",
  sync_deleted: "its sync was deleted; webhooks were not told",
};

function printAlert(alert: ShownAlert, events: readonly AnyEvent[]): void {
  const { id, type, state, resolution, resolved_run_id, last_raised_run_id } = alert;
  const sync = alert.sync_name === null ? "" : ` (${alert.sync_name})`;
  print(`${paint("bold", `alert ${id}`)}  ${shortType(type)}  ${paintAlertState(state)}`);
  const facts: [string, string | null][] = [
    ["sync", `${alert.sync_id}${sync}`],
    ["watched by", `alert configuration ${alert.configuration_id}`],
    ["raised", `${dayAndTime(alert.raised_at)} by run ${alert.raised_run_id}`],
    [
      "last raised",
      alert.times_raised === 1
        ? null
        : `${dayAndTime(alert.last_raised_at)} by run ${last_raised_run_id}, ${counted(alert.times_raised, "time")}`,
    ],
    ["what", `${alert.message}: ${alert.details}`],
    ["see", alert.followup_url],
    ["resolved", alert.resolved_at === null ? null : resolved(alert.resolved_at, resolved_run_id)],
    ["why", resolution === null ? null : RESOLUTIONS[resolution]],
    [
      "outcome",
      alert.resolved_message === null ? null : `${alert.resolved_message}: ${alert.resolved_details}`,
    ],
  ];
  for (const [name, value] of facts) if (value !== null) print(`  ${paint("dim", name.padEnd(12))} ${value}`);
  print();
  for (const event of events) print(`  ${eventLine(event)}`);
}

function resolved(at: Date, runId: number | null): string {
  return `${dayAndTime(at)}${runId === null ? "" : ` by run ${runId}`}`;
}
