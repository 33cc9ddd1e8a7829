/** `egret replay start`: asks for a replay, or says how much one would do. */
import { Command, Option } from "commander";
import { InvalidInput } from "../domain/errors.ts";
import { DEFAULT_REPLAY_RATE, MAX_REPLAY_RATE } from "../domain/replay.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { counted } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { watchReplay } from "./replayWatch.ts";
import { type SearchOptions, withSearchOptions } from "./searchOptions.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface StartOptions extends DeskOptions, SearchOptions {
  missed?: boolean;
  state?: "dead" | "delivered" | "ended";
  rate: number;
  all?: boolean;
  dryRun?: boolean;
  watch?: boolean;
  json?: boolean;
}

/** The command. */
export function replayStartCommand(): Command {
  const states = ["dead", "delivered", "ended"] as const;
  const command = new Command("start")
    .description("begin deliveries to webhooks again, or deliver what a webhook missed")
    .addOption(
      new Option("--state <state>", "how they ended; ended is both (default: dead)").choices(states),
    );
  withSearchOptions(command)
    .option("--missed", "instead: events that --webhook has no delivery for, --since then")
    .option("--all", "every delivery in that state; needed when nothing narrows it")
    .option(
      "--rate <count>",
      "deliveries begun per second at most",
      wholeNumber(1, MAX_REPLAY_RATE),
      DEFAULT_REPLAY_RATE,
    )
    .option("--dry-run", "say how many there are and begin none")
    .option("--watch", "show progress and wait for the end")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nIds and bytes stay the same, so receivers that know X-Event-Id see what they had before. It takes what was\n` +
        `created before now. A worker does it in the background and goes on after a crash. Batches are not replayed:\n` +
        `trigger their sync again. Through the API a replay is for one webhook, which --webhook names.\n` +
        `${EXIT_CODES_HELP}\n\nExamples:\n  egret replay start --state dead --webhook pager --since 24h --dry-run\n` +
        `  egret replay start --missed --webhook pager --since 2026-02-03T14:00:00Z --watch`,
    );
  return withDeskOptions(command).action(start);
}

async function start(options: StartOptions): Promise<void> {
  checkOptions(options);
  const { rate: ratePerSecond, missed, ...search } = options;
  const wish = { ...search, isMissed: missed === true, ratePerSecond };
  const isJson = options.json === true;
  await withDesk("replays", options, async (desk) => {
    if (options.dryRun === true) {
      const count = await desk.count(wish);
      if (isJson) printJson({ dry_run: true, would_replay: count });
      else print(`${counted(count, "delivery", "deliveries")} would be replayed; nothing was done`);
      return;
    }
    const replayId = await desk.start(wish);
    if (options.watch === true) await watchReplay(desk, replayId, { isJson });
    else if (isJson) printJson({ replay_id: replayId, state: "requested" });
    else print(`replay ${replayId} is requested; see how far it is with: egret replay watch ${replayId}`);
  });
}

/** @throws InvalidInput for options that do not go together. */
function checkOptions(options: StartOptions): void {
  const { missed, webhook, since, state, event, run, sync, status, all } = options;
  if (missed === true) {
    if (webhook === undefined || since === undefined) {
      throw new InvalidInput("--missed needs --webhook, whose events they are, and --since, when they began");
    }
    if ([state, event, run, sync, status].some((value) => value !== undefined)) {
      throw new InvalidInput("--missed goes with --webhook, --since and --until only");
    }
    return;
  }
  const narrowing = [webhook, since, event, run, sync, status];
  if (all !== true && narrowing.every((value) => value === undefined)) {
    throw new InvalidInput(
      "nothing narrows this replay: give --webhook, --event, --run, --sync, --status or --since, or --all if that is meant",
    );
  }
}
