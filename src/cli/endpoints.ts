/** `egret endpoints`: which targets are well, which fail, and which are held back or disabled. */
import { Command } from "commander";
import type { EndpointState } from "../../machines/endpoint.ts";
import { listEndpoints, type TargetHealth } from "../projections/endpoints.ts";
import { findWorkspace } from "./findConfigured.ts";
import { count, dayAndTime } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson, type Style, table } from "./terminal.ts";

interface EndpointsOptions extends ReachOptions {
  workspace?: string;
  json?: boolean;
}

const HEADINGS = ["target", "name", "state", "since", "failures", "outages", "next probe", "last error"];
const RIGHT = new Set([4, 5]);

/** The command. */
export function endpointsCommand(): Command {
  const command = new Command("endpoints")
    .description("list the health of webhooks and destinations")
    .option("--workspace <name>", "only targets of this workspace, by name or id")
    .option("--json", "print one JSON object a line")
    .addHelpText("after", `${STATES_HELP}\n\nExample:\n  egret endpoints --json`);
  return withReachOptions(command).action(async (options: EndpointsOptions) => {
    const reach = await findServices(options);
    const targets = await withDatabase(reach, async ({ db }) => {
      if (options.workspace === undefined) return listEndpoints(db);
      return listEndpoints(db, { workspaceId: (await findWorkspace(db, options.workspace)).id });
    });
    if (options.json === true) for (const target of targets) printJson(target);
    else if (targets.length === 0) print("no targets yet; write an egret.yaml and run: egret apply");
    else for (const line of table(HEADINGS, targets.map(cells), RIGHT)) print(line);
  });
}

const STATES_HELP = `
States:
  healthy   it answers
  failing   several attempts in a row failed; everything is still sent
  open      it has been down for long: what has not begun waits for the next probe
  probing   one delivery is trying whether it is back
  disabled  it was disabled for what it did; egret webhook enable <name> tries again`;

const STYLES: Readonly<Record<EndpointState, Style>> = {
  healthy: "green",
  failing: "yellow",
  open: "red",
  probing: "yellow",
  disabled: "red",
};

function cells(target: TargetHealth): string[] {
  const state = target.reason === null ? target.state : `${target.state} (${target.reason})`;
  return [
    `${target.target_kind} ${target.target_id}`,
    target.name,
    paint(STYLES[target.state], state),
    target.since === null ? "-" : dayAndTime(target.since),
    count(target.consecutive_failures),
    count(target.outages),
    target.next_probe_at === null ? "-" : dayAndTime(target.next_probe_at),
    target.state === "healthy" ? "" : (target.last_error ?? ""),
  ];
}
