/** `egret replay cancel <id>`: stops a replay; what it began again by then stays begun. */
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { InvalidInput, NotFound } from "../domain/errors.ts";
import { type ReplayRow, readReplay, wishCancelled } from "../runtime/replays/replayStore.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { TimedOut } from "./failures.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { replayJson, replayText } from "./replayWatch.ts";
import { print, printJson } from "./terminal.ts";

interface CancelOptions extends ReachOptions {
  timeout: number;
  json?: boolean;
}

const LOOK_EVERY_MS = 100;

/** The command. */
export function replayCancelCommand(): Command {
  const command = new Command("cancel")
    .description("stop a replay; what it began again by then stays begun")
    .argument("<id>", "id of the replay", wholeNumber(1, 999_999_999_999_999))
    .option(
      "--timeout <seconds>",
      "how long to wait until its worker has stopped",
      wholeNumber(1, 86_400),
      15,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret replay cancel 5`);
  return withReachOptions(command).action(cancel);
}

async function cancel(id: number, options: CancelOptions): Promise<void> {
  const reach = await findServices(options);
  const row = await withDatabase(reach, async ({ db }) => {
    const before = await readReplay(db, id);
    if (before === null) throw new NotFound(`there is no replay ${id}; \`egret replay list\` shows them`);
    if (before.state !== "requested") throw hasEnded(before);
    await wishCancelled(db, id, "egret replay cancel");
    const deadline = performance.now() + options.timeout * 1_000;
    for (;;) {
      const now = await readReplay(db, id);
      if (now !== null && now.state !== "requested") return now;
      if (performance.now() > deadline) {
        throw new TimedOut(
          `replay ${id} has not stopped within ${options.timeout} s: is \`egret start\` with the role \`worker\` running? ` +
            "It stops by itself as soon as a worker sees the wish.",
        );
      }
      await delay(LOOK_EVERY_MS);
    }
  });
  // It may have come to its end before the wish was seen.
  if (row.state !== "cancelled") throw hasEnded(row);
  if (options.json === true) printJson(replayJson(row));
  else print(`replay ${id} ${replayText(row)}`);
}

function hasEnded({ id, state }: ReplayRow): InvalidInput {
  return new InvalidInput(`replay ${id} has ended already: ${state}`);
}
