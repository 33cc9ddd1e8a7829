/** `egret tail [filter…]`: events as they come, of both streams. */
import { Command } from "commander";
import type { StoredEvent } from "../domain/event.ts";
import { follow } from "../log/follow.ts";
import type { StreamName } from "../log/topology.ts";
import { eventLine } from "./eventLine.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { wholeNumber } from "./options.ts";
import {
  findServices,
  type OpenLog,
  type ReachOptions,
  withDatabase,
  withLog,
  withReachOptions,
} from "./reach.ts";
import { syncInFilter, type TailFilter, tailFilter } from "./tailFilter.ts";
import { complain, isTerminal, paint, print, printJson } from "./terminal.ts";

interface TailOptions extends ReachOptions {
  workspace?: string;
  since?: number;
  limit?: number;
  json?: boolean;
}

const HELP = `
Filters (several words narrow one another down):
  failed                runs that failed, deliveries that were given up, commands that were refused
  sync:airports         one sync, by name or id          run:7011     one run and its deliveries
  webhook, destination  deliveries by target             retrying, delivered, dead, started, success, …
  run, config, command  by what an event is about        "*.run.88.>" a subject below egret.events

Examples:
  egret tail sync:airports failed
  egret tail webhook --json
  egret tail run:7011 --since 1`;

/** The command. */
export function tailCommand(): Command {
  const command = new Command("tail")
    .description("show events as they come, until Ctrl-C")
    .argument("[filter...]", "words or a subject; all events when left out")
    .option("--workspace <name>", "of sync:<name>; needed when there are several")
    .option(
      "--since <sequence>",
      "begin at this sequence of each stream; 1 is the first event",
      wholeNumber(1, 2 ** 48),
    )
    .option("--limit <count>", "end after so many events", wholeNumber(1, 1_000_000_000))
    .option("--json", "print one event a line, as it stands in the log")
    .addHelpText("after", HELP);
  return withReachOptions(command).action(tail);
}

async function tail(words: string[], options: TailOptions): Promise<void> {
  const reach = await findServices(options);
  const named = syncInFilter(words);
  const syncId =
    named === null
      ? null
      : /^\d+$/.test(named)
        ? Number(named)
        : await withDatabase(reach, async ({ db }) => {
            const sync = await findSyncNamed(db, await findWorkspace(db, options.workspace), named);
            return sync.id;
          });
  const filter = tailFilter(words, syncId);
  await withLog(reach, (open) => followBoth(open, filter, options));
}

async function followBoth({ connection }: OpenLog, filter: TailFilter, options: TailOptions): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  let shown = 0;
  const show = ({ event, sequence }: StoredEvent, stream: StreamName): void => {
    if (!filter.matches(event) || shown >= (options.limit ?? Infinity)) return;
    if (options.json === true) printJson({ stream, sequence, ...event });
    else
      print(
        `${paint("dim", `${stream === "runs" ? "run" : "dlv"}#${sequence}`.padEnd(10))} ${eventLine(event)}`,
      );
    shown += 1;
    if (shown === options.limit) stop.abort();
  };
  const followOne = async (stream: StreamName): Promise<void> => {
    const filters = filter.subjects[stream];
    if (filters === null) return;
    const where = {
      fromSequence: options.since ?? ("new" as const),
      maxBatch: 500,
      signal: stop.signal,
      filters,
    };
    for await (const batch of follow(connection, stream, where)) {
      for (const stored of batch) show(stored, stream);
      if (stop.signal.aborted) return;
    }
  };
  if (isTerminal() && options.json !== true) complain(paint("dim", "waiting for events; Ctrl-C ends"));
  try {
    await Promise.all([followOne("runs"), followOne("deliveries")]);
  } finally {
    stop.abort();
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
