/** `egret run <id>`: what happened in a run, as a timeline, and what became of its batches and lifecycle webhooks. */
import { Command } from "commander";
import { attemptLine, paintState } from "./deliveryWords.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { RunStory, ShownDelivery, ShownRun } from "./desks.ts";
import { eventDetails, eventTitle } from "./eventLine.ts";
import { EXIT } from "./exitCodes.ts";
import { clock, count, counted, dayAndTime, duration } from "./format.ts";
import { parseRunId } from "./runInLog.ts";
import { RunScreen } from "./runScreen.ts";
import { paintStatus } from "./runs.ts";
import { paint, print, printJson, StatusLine } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface RunOptions extends DeskOptions {
  all?: boolean;
  watch?: boolean;
  json?: boolean;
}

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
      "\nThe timeline comes from the log; the deliveries from the read models.\n\nExample:\n  egret run 7011",
    );
  return withDeskOptions(command).action((id: string, options: RunOptions) =>
    withDesk("runs", options, async (desk) => {
      const runId = parseRunId(id);
      const isJson = options.json === true;
      if (options.watch === true) {
        const isFailed = await desk.watch(runId, isJson ? null : new RunScreen(new StatusLine()));
        if (isFailed) process.exitCode = EXIT.failed;
        if (!isJson) print();
      }
      const story = await desk.story(runId);
      if (isJson) printJson(story);
      else printStory(runId, story, options.all === true);
    }),
  );
}

function printStory(runId: number, { run, events, deliveries, attempts }: RunStory, showAll: boolean): void {
  const begun = events[0]?.time ?? run?.created_at;
  if (begun === undefined) return;
  const status = run === null ? "not projected yet" : paintStatus(run.status);
  print(
    `${paint("bold", events[0]?.subject ?? `run/${runId}`)}  ${run?.sync_name ?? ""}  ${status}  ${dayAndTime(begun)}`,
  );
  let before = new Date(begun).getTime();
  for (const event of events) {
    const atMs = Date.parse(event.time);
    const step = paint("dim", `+${duration(atMs - before)}`.padStart(9));
    print(`  ${paint("dim", clock(event.time))} ${step}  ${eventTitle(event, 16)} ${eventDetails(event)}`);
    before = atMs;
  }
  // What the events would tell, as far as the run's end tells it too.
  if (events.length === 0 && run !== null) for (const line of runLines(run)) print(`  ${line}`);
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

function runLines(run: ShownRun): string[] {
  const endedAt = run.completed_at;
  const facts: [string, string | null][] = [
    ["kind", run.run_kind === "normal" ? null : run.run_kind],
    [
      "took",
      endedAt === null ? null : duration(endedAt.getTime() - (run.started_at ?? run.created_at).getTime()),
    ],
    ["full sync", run.full_sync ? "yes" : null],
    ["in source", run.source_record_count === null ? null : counted(run.source_record_count, "row")],
    ["invalid", run.source_record_invalids ? count(run.source_record_invalids) : null],
    ["sent", run.records_processed === null ? null : count(run.records_processed)],
    ["accepted", run.records_updated === null ? null : count(run.records_updated)],
    ["rejected", run.records_failed === null ? null : count(run.records_failed)],
    ["canceled", run.canceled ? "yes" : null],
    ["error", run.error_code === null ? null : `${run.error_code}: ${run.error_message}`],
    ["detail", run.error_detail],
  ];
  return facts.flatMap(([name, value]) =>
    value === null ? [] : [`${paint("dim", name.padEnd(12))} ${value}`],
  );
}

function printDeliveries(
  title: string,
  deliveries: readonly ShownDelivery[],
  { attempts, showAll }: { attempts: RunStory["attempts"]; showAll: boolean },
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
