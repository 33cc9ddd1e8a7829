/** `egret projections rebuild`: makes the read models again from the log. */
import { Command } from "commander";
import { openServices } from "../main.ts";
import { rebuildReadModels } from "../projections/rebuild.ts";
import { count, counted, duration } from "./format.ts";
import {
  databaseUrlOf,
  findServices,
  logLimitsOf,
  natsUrlOf,
  type ReachOptions,
  withReachOptions,
} from "./reach.ts";
import { paint, print, printJson, StatusLine } from "./terminal.ts";

type RebuildOptions = ReachOptions & { json?: boolean };

/** The command and its one subcommand. */
export function projectionsCommand(): Command {
  const rebuild = new Command("rebuild")
    .description("replay the log from its first event into fresh tables and swap them in")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nThe old tables serve until the new ones are whole. Interrupted, it changes nothing.\n\nExample:\n  egret projections rebuild",
    );
  return new Command("projections")
    .description("read models: what Postgres shows of the log")
    .addHelpText("after", "\nExample:\n  egret projections rebuild")
    .addCommand(withReachOptions(rebuild).action(rebuildAll));
}

async function rebuildAll(options: RebuildOptions): Promise<void> {
  const reach = await findServices(options);
  const services = await openServices({
    databaseUrl: databaseUrlOf(reach),
    natsUrl: natsUrlOf(reach),
    secretKeys: reach.secretKeys,
    streamPrefix: reach.config.streamPrefix,
    limits: logLimitsOf(reach.config),
  });
  const status = new StatusLine();
  try {
    const onProgress = ({
      stream,
      events,
      totalEvents,
    }: {
      stream: string;
      events: number;
      totalEvents: number;
    }) => status.update(`${stream}: ${count(events)} of ${counted(totalEvents, "event")}`);
    const { events, seconds } = await rebuildReadModels({
      source: services.events,
      database: services.database,
      ...(options.json === true ? {} : { onProgress }),
    });
    status.clear();
    if (options.json === true) printJson({ events, seconds });
    else
      print(`${paint("green", "rebuilt")} from ${counted(events, "event")} in ${duration(seconds * 1_000)}`);
  } finally {
    status.clear();
    await services.close();
  }
}
