/** What the demo says at its end: a summary, and what to type next. */
import path from "node:path";
import { count, counted, duration } from "../format.ts";
import { paint } from "../terminal.ts";
import type { DemoResult, ToldRun } from "./demoStory.ts";

const TITLE_LETTERS = 22;

/** The summary as lines. */
export function summaryLines(result: DemoResult): string[] {
  const lines: [string, string][] = result.runs.map((run, index) => [
    `run ${run.runId} (${index === 0 ? "first" : "second"} sync)`,
    runFacts(run),
  ]);
  const attempts = counted(result.lifecycleAttempts, "attempt");
  lines.push([
    "lifecycle webhooks",
    `${count(result.lifecycleDeliveries)} delivered in ${attempts}, every signature valid`,
  ]);
  for (const { event, attempt, delayMs, waitMs } of result.retries) {
    const late = duration(waitMs - delayMs);
    lines.push([
      `retry ${attempt - 1}`,
      `${event}: after ${duration(waitMs)}, due after ${duration(delayMs)} (${late} late, never early)`,
    ]);
  }
  lines.push(["events in the log", count(result.logEvents)]);
  for (const { runId, verdict } of result.runs) lines.push([`audit of run ${runId}`, verdict]);
  return [
    paint("bold", "Summary"),
    ...lines.map(([title, fact]) => `  ${title.padEnd(TITLE_LETTERS)} ${fact}`),
  ];
}

function runFacts({ end, batches }: ToldRun): string {
  const { source_record_count, records_updated, records_failed } = end.completed;
  const rows = `${count(records_updated)} of ${counted(source_record_count ?? 0, "row")}`;
  return `${rows} sent in ${counted(batches, "batch", "batches")}, ${count(records_failed)} rejected, ${duration(end.durationMs)}`;
}

/** What to type next; with a server that stays, commands against it. */
export function nextLines(result: DemoResult, keeps: boolean): string[] {
  if (!keeps) {
    return [
      paint("bold", "Next"),
      "  npm run demo -- --keep     the same, and the server stays, to look around in",
      "  npm start                  a server of your own; then write an egret.yaml and run: npm run egret -- apply",
      "  npm run egret -- --help    everything else",
    ];
  }
  const dir = path.relative(process.cwd(), result.dir) || ".";
  const egret = (command: string, what: string) =>
    `  ${`bin/egret ${command} --dir ${dir}`.padEnd(62)} ${what}`;
  const last = result.runs.at(-1)?.runId ?? 1;
  return [
    paint("bold", `Egret stays up at ${result.address ?? "no address"} until Ctrl-C. In another shell:`),
    egret("runs", "the runs so far"),
    egret(`run ${last}`, "what happened in one"),
    egret(`audit ${last}`, "every event of it, checked"),
    egret("trigger airports --watch --full", "send every row again"),
    egret("tail webhook", "see deliveries as they happen"),
    egret("doctor", "check everything"),
    `  curl -H "Authorization: Bearer ${result.token}" ${result.address ?? ""}/api/v1/syncs`,
    `  Change ${path.join(dir, "egret.yaml")} and apply it (its receivers listen on this machine: hence the variable):`,
    `  EGRET_ALLOW_HTTP=true bin/egret apply -f ${path.join(dir, "egret.yaml")} --dir ${dir}`,
  ];
}
