/** `egret replay list`: the latest replays and how far each is. */
import { Command } from "commander";
import type { ReplayWanted } from "../domain/replay.ts";
import { listReplays, type ReplayRow } from "../runtime/replays/replayStore.ts";
import { findWorkspace } from "./findConfigured.ts";
import { count, dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { passedOver, replayJson } from "./replayWatch.ts";
import { print, printJson, table } from "./terminal.ts";

interface ListOptions extends ReachOptions {
  workspace?: string;
  limit: number;
  json?: boolean;
}

const HEADINGS = ["replay", "requested", "state", "of", "begun again", "passed over", "what"];
const RIGHT = new Set([0, 3, 4, 5]);

/** The command. */
export function replayListCommand(): Command {
  const command = new Command("list")
    .description("list the latest replays")
    .option("--workspace <name>", "only those of this workspace, by name or id")
    .option("--limit <count>", "how many", wholeNumber(1, 1_000), 20)
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret replay list");
  return withReachOptions(command).action(async (options: ListOptions) => {
    const reach = await findServices(options);
    const rows = await withDatabase(reach, async ({ db }) => {
      const { limit, workspace } = options;
      if (workspace === undefined) return listReplays(db, { limit });
      return listReplays(db, { limit, workspaceId: (await findWorkspace(db, workspace)).id });
    });
    if (options.json === true) for (const row of rows) printJson(replayJson(row));
    else if (rows.length === 0) print("no replays yet; see egret replay start --help");
    else for (const line of table(HEADINGS, rows.map(cells), RIGHT)) print(line);
  });
}

function cells(row: ReplayRow): string[] {
  return [
    String(row.id),
    dayAndTime(row.requested_at),
    row.state,
    count(row.total),
    count(row.replayed),
    count(passedOver(row)),
    wantedText(row.wanted),
  ];
}

/** What a replay was asked for, on one line. */
function wantedText(wanted: ReplayWanted): string {
  const { kind, ...filter } = wanted;
  const parts = Object.entries(filter).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join("+") : value}`,
  );
  return `${kind === "deliveries" ? "deliveries" : "missed events"}: ${parts.join(", ")}`;
}
