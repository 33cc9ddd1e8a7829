/** `egret run <id>`: what happened in a run, as a timeline, and what became of its batches and lifecycle webhooks. */
import { Command } from "commander";
import type { StoredEvent } from "../domain/event.ts";
import type { Attempt, Delivery } from "../projections/deliveries.ts";
import { searchDeliveries } from "../projections/deliverySearch.ts";
import { getRun, type Run } from "../projections/runs.ts";
import { attemptLine, paintState } from "./deliveryWords.ts";
import { eventDetails, eventTitle } from "./eventLine.ts";
import { EXIT } from "./exitCodes.ts";
import { clock, counted, dayAndTime, duration } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withLog, withReachOptions } from "./reach.ts";
import { findAnyRun, parseRunId } from "./runInLog.ts";
import { RunScreen } from "./runScreen.ts";
import { paintStatus } from "./runs.ts";
import { paint, print, printJson, StatusLine } from "./terminal.ts";
import { watchToEnd } from "./watchRun.ts";

interface RunOptions extends ReachOptions {
  all?: boolean;
  watch?: boolean;
  json?: boolean;
}

interface Story {
  run: Run | null;
  events: StoredEvent[];
  deliveries: Delivery[];
  attempts: Attempt[];
}

const MOST_DELIVERIES = 100_000;
/** A run may wait for its turn for long: whoever watches it has time, ms. */
const PATIENCE_MS = 86_400_000;
/** Batches that went well at once are only counted beyond this number. */
const SHOWN_BATCHES = 10;

/** The command. */
export function runCommand(): Command {
  const command = new Command("run")
    .description("show what happened in a run: its events, batches, deliveries and attempts")
    .argument("<id>", "id of the run")
    .option("--all", "show every batch, also the many that went well at once")
    .option("--watch", "while it goes on, show its progress, and then how it ended")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nThe timeline comes from the log, the deliveries from the read models.\n\nExample:\n  egret run 7011",
    );
  return withReachOptions(command).action(async (id: string, options: RunOptions) => {
    const runId = parseRunId(id);
    if (options.watch === true) await watch(options, runId);
    const story = await readStory(options, runId);
    if (options.json === true) printJson({ ...story, events: story.events.map(({ event }) => event) });
    else printStory(story, options.all === true);
  });
}

/** Shows the run until it has ended; one that has ended already is told of at once. */
async function watch(options: RunOptions, runId: number): Promise<void> {
  const reach = await findServices(options);
  await withLog(reach, async ({ connection, log }) => {
    const run = await findAnyRun(connection, runId);
    const first = (await log.load(run))[0];
    const screen = options.json === true ? null : new RunScreen(new StatusLine());
    const last = await watchToEnd({
      connection,
      run,
      fromSequence: first?.sequence ?? 1,
      startTimeoutMs: PATIENCE_MS,
      onEvent: (event) => screen?.onEvent(event),
      onProgress: (progress) => screen?.onProgress(progress),
    });
    if (last.type === "sync.failed" || last.type === "trial.failed") process.exitCode = EXIT.failed;
  });
  if (options.json !== true) print();
}

async function readStory(options: RunOptions, runId: number): Promise<Story> {
  const reach = await findServices(options);
  const events = await withLog(reach, async ({ connection, log }) =>
    log.load(await findAnyRun(connection, runId)),
  );
  return withDatabase(reach, async ({ db }) => {
    const run = await getRun(db, runId);
    const newestFirst = await searchDeliveries(db, { runId, limit: MOST_DELIVERIES });
    const attempts = await db
      .selectFrom("egret_read.attempts")
      .innerJoin("egret_read.deliveries as delivery", (join) =>
        join
          .onRef("delivery.id", "=", "egret_read.attempts.delivery_id")
          .onRef("delivery.target_kind", "=", "egret_read.attempts.target_kind")
          .onRef("delivery.target_id", "=", "egret_read.attempts.target_id"),
      )
      .selectAll("egret_read.attempts")
      .where("delivery.run_id", "=", runId)
      .where("egret_read.attempts.run_id", "=", runId)
      .orderBy("attempt")
      .execute();
    return { run, events, deliveries: newestFirst.toReversed(), attempts };
  });
}

function printStory({ run, events, deliveries, attempts }: Story, showAll: boolean): void {
  const first = events[0]?.event;
  if (first === undefined) return;
  const status = run === null ? "not projected yet" : paintStatus(run.status);
  print(`${paint("bold", first.subject)}  ${run?.sync_name ?? ""}  ${status}  ${dayAndTime(first.time)}`);
  let before = Date.parse(first.time);
  for (const { event } of events) {
    const atMs = Date.parse(event.time);
    const step = paint("dim", `+${duration(atMs - before)}`.padStart(9));
    print(`  ${paint("dim", clock(event.time))} ${step}  ${eventTitle(event, 16)} ${eventDetails(event)}`);
    before = atMs;
  }
  const batches = deliveries.filter(({ target_kind }) => target_kind === "destination");
  printDeliveries("batches", batches, { attempts, showAll });
  printDeliveries(
    "lifecycle webhooks",
    deliveries.filter(({ target_kind }) => target_kind === "webhook"),
    {
      attempts,
      showAll: true,
    },
  );
}

function printDeliveries(
  title: string,
  deliveries: readonly Delivery[],
  { attempts, showAll }: { attempts: readonly Attempt[]; showAll: boolean },
): void {
  if (deliveries.length === 0) return;
  const tried = Map.groupBy(attempts, deliveryKey);
  const dull = deliveries.filter(({ state, attempts }) => state === "delivered" && attempts === 1);
  const hidden = showAll || dull.length <= SHOWN_BATCHES ? [] : dull.slice(SHOWN_BATCHES);
  print();
  print(paint("bold", `${title} (${deliveries.length})`));
  for (const delivery of deliveries) {
    if (hidden.includes(delivery)) continue;
    const what = delivery.event ?? counted(delivery.records, "row");
    const target = `${delivery.target_kind} ${delivery.target_id}`;
    print(`  ${delivery.id.padEnd(14)} ${what.padEnd(16)} ${target.padEnd(16)} ${paintState(delivery)}`);
    const own = tried.get(deliveryKey({ ...delivery, delivery_id: delivery.id })) ?? [];
    for (const attempt of own) print(`      ${attemptLine(attempt)}`);
  }
  if (hidden.length > 0)
    print(`  … and ${counted(hidden.length, "batch", "batches")} accepted at once (--all shows them)`);
}

function deliveryKey(row: { target_kind: string; target_id: number; delivery_id: string }): string {
  return `${row.target_kind} ${row.target_id} ${row.delivery_id}`;
}
