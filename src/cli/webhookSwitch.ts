/** `egret webhook enable` and `egret webhook disable`: the switch of one webhook, beside egret.yaml. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { dayAndTime } from "./format.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface SwitchOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

/** The command that enables. */
export function webhookEnableCommand(): Command {
  return switchCommand("enable", "let a disabled webhook get events again").action(enable);
}

/** The command that disables. */
export function webhookDisableCommand(): Command {
  return switchCommand(
    "disable",
    "send a webhook nothing until it is enabled; what waits for it is dropped",
  ).action(disable);
}

function switchCommand(verb: "enable" | "disable", description: string): Command {
  const command = new Command(verb)
    .description(description)
    .argument("<webhook>", "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret webhook ${verb} pager`);
  return withDeskOptions(command);
}

async function enable(wanted: string, options: SwitchOptions): Promise<void> {
  const { workspace } = options;
  const { name, isChanged, wasDisabled, wasOut } = await withDesk("webhooks", options, (desk) =>
    desk.enable({ name: wanted, workspace }),
  );
  if (options.json === true) {
    printJson({ webhook: name, enabled: true, changed: isChanged, was_disabled: wasDisabled });
  } else if (!isChanged) {
    print(`Webhook ${name} is enabled already${wasOut ? "; its endpoint counts as healthy again" : ""}.`);
  } else if (wasDisabled === null) {
    print(
      `Webhook ${name} is enabled. Set \`enabled\` in egret.yaml too, or the next apply disables it again.`,
    );
  } else {
    const { reason, at } = wasDisabled;
    print(`Webhook ${name} is enabled; it was disabled (${reason}) since ${dayAndTime(at)}.`);
  }
}

async function disable(wanted: string, options: SwitchOptions): Promise<void> {
  const { workspace } = options;
  const { name, isChanged, outlastsApply } = await withDesk("webhooks", options, (desk) =>
    desk.disable({ name: wanted, workspace }),
  );
  if (options.json === true) printJson({ webhook: name, enabled: false, changed: isChanged });
  else if (!isChanged) print(`Webhook ${name} is disabled already.`);
  else {
    const until = outlastsApply
      ? ", also for `egret apply`, until:"
      : "; `egret apply` shows it as a difference. To end it:";
    print(`Webhook ${name} is disabled${until} egret webhook enable ${name}`);
  }
}
