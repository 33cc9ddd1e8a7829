/** `egret webhook enable` and `egret webhook disable`: the switch of one webhook, beside egret.yaml. */
import { Command } from "commander";
import { disableWebhook, enableWebhook } from "../configuration/webhookSwitch.ts";
import { enableEndpoint } from "../runtime/endpointTransitions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findWebhookNamed, findWorkspace } from "./findConfigured.ts";
import { dayAndTime } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withLog, withReachOptions } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

interface SwitchOptions extends ReachOptions {
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
  return withReachOptions(command);
}

async function enable(wanted: string, options: SwitchOptions): Promise<void> {
  const reach = await findServices(options);
  // The log first: when it cannot be reached, nothing is done.
  const { name, isChanged, wasDisabled, wasOut } = await withLog(reach, ({ log }) =>
    withDatabase(reach, async ({ db }) => {
      const { id } = await findWebhookNamed(db, await findWorkspace(db, options.workspace), wanted);
      const switched = await enableWebhook(db, { id, actor: "egret webhook enable" });
      const { workspaceId, configVersion } = switched;
      const endpoint = await enableEndpoint(log, { workspaceId, id, configVersion });
      return { ...switched, wasOut: endpoint.wasDisabled };
    }),
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
  const reach = await findServices(options);
  const { name, isChanged } = await withDatabase(reach, async ({ db }) => {
    const { id } = await findWebhookNamed(db, await findWorkspace(db, options.workspace), wanted);
    return disableWebhook(db, { id, reason: "operator", actor: "egret webhook disable" });
  });
  if (options.json === true) printJson({ webhook: name, enabled: false, changed: isChanged });
  else if (!isChanged) print(`Webhook ${name} is disabled already.`);
  else print(`Webhook ${name} is disabled, also for \`egret apply\`, until: egret webhook enable ${name}`);
}
