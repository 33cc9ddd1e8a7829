/** `egret replay watch <id>`: shows how far a replay is until it has ended. */
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { NotFound } from "../domain/errors.ts";
import { onReplayProgress, type ReplayProgress } from "../runtime/hints.ts";
import type { ReplayParts } from "../runtime/replays/replaySource.ts";
import { type ReplayRow, readReplay } from "../runtime/replays/replayStore.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { count, counted } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withLog, withReachOptions } from "./reach.ts";
import { complain, paint, print, printJson, StatusLine } from "./terminal.ts";

/** Progress is told as it goes; that is how often the truth is looked up, ms. */
const LOOK_EVERY_MS = 500;

/** The command. */
export function replayWatchCommand(): Command {
  const command = new Command("watch")
    .description("show how far a replay is, until it has ended")
    .argument("<id>", "id of the replay", wholeNumber(1, 999_999_999_999_999))
    .option("--json", "print one JSON object at the end")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret replay watch 5`);
  return withReachOptions(command).action(async (id: number, options: ReachOptions & { json?: boolean }) => {
    const reach = await findServices(options);
    await withDatabase(reach, ({ db }) =>
      withLog(reach, (open) => watchReplay({ db, ...open }, id, { isJson: options.json === true })),
    );
  });
}

/**
 * Shows progress until the replay has ended, and how it ended.
 * @throws NotFound when there is none of that id.
 */
export async function watchReplay(
  { db, connection }: ReplayParts,
  id: number,
  { isJson }: { isJson: boolean },
): Promise<void> {
  const first = await mustRead(db, id);
  const status = new StatusLine();
  const show = (progress: ReplayProgress) => {
    if (!isJson) status.update(progressText(progress));
  };
  const stop = onReplayProgress(connection, { workspaceId: first.workspace_id, replayId: id }, show);
  try {
    let row = first;
    while (row.state === "requested") {
      show({ ...row, replay_id: id, skipped: passedOver(row) });
      await delay(LOOK_EVERY_MS);
      row = await mustRead(db, id);
    }
    status.clear();
    if (isJson) printJson(replayJson(row));
    else print(`replay ${id} ${replayText(row)}`);
    if (row.state !== "completed") process.exitCode = EXIT.failed;
    if (row.error !== null && !isJson) complain(row.error);
  } finally {
    stop();
    status.clear();
  }
}

async function mustRead(db: ReplayParts["db"], id: number): Promise<ReplayRow> {
  const row = await readReplay(db, id);
  if (row === null) throw new NotFound(`there is no replay ${id}; \`egret replay list\` shows them`);
  return row;
}

function progressText({ total, replayed, skipped }: ReplayProgress): string {
  const done = replayed + skipped;
  const share =
    total === null || total === 0 ? "" : ` (${Math.min(100, Math.floor((done / total) * 100))} %)`;
  const of = total === null ? counted(done, "delivery", "deliveries") : `${count(done)} of ${count(total)}`;
  return `${of}${share}${skipped > 0 ? `, ${count(skipped)} passed over` : ""}`;
}

/** How many were passed over, whatever the reason. */
export function passedOver({ skipped }: Pick<ReplayRow, "skipped">): number {
  return Object.values(skipped).reduce((sum, each) => sum + each, 0);
}

/** State and counts in words. */
export function replayText(row: ReplayRow): string {
  const color = row.state === "completed" ? "green" : row.state === "requested" ? "cyan" : "red";
  const reasons = Object.entries(row.skipped).map(([reason, each]) => `${count(each)} ${reason}`);
  const passed = reasons.length === 0 ? "" : `; passed over: ${reasons.join(", ")}`;
  const who = row.cancelled_by === null ? "" : ` by ${row.cancelled_by}`;
  return `${paint(color, row.state)}${who}: ${counted(row.replayed, "delivery", "deliveries")} begun again${passed}`;
}

/** A replay as commands print it for programs. */
export function replayJson(row: ReplayRow): object {
  const { id, cursor: _cursor, taken: _taken, ...rest } = row;
  return { replay_id: id, ...rest };
}
