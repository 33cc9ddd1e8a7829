/** Progress of one phase of a run, for people who watch: told often, but not for every row. */
import { currentStep } from "../../domain/currentStep.ts";
import { ProgressMeter } from "../../domain/progressMeter.ts";
import type { LogConnection } from "../../log/connection.ts";
import { publishProgress, type RunProgress } from "../hints.ts";

const PROGRESS_EVERY_MS = 100;

type Progress = Partial<
  Pick<RunProgress, "rows_read" | "records_planned" | "records_sent" | "records_failed">
>;

/** Where progress is told, and of which run. */
export interface ProgressTeller {
  connection: LogConnection;
  ids: { workspace_id: number; sync_id: number; sync_run_id: number };
  now(): number;
}

/** Tells how far a phase is, at most every 100 ms: what is done of what, and at which pace. */
export function stepProgress(run: ProgressTeller, phase: RunProgress["phase"]): (facts: Progress) => void {
  let last = 0;
  const meter = new ProgressMeter();
  return (facts) => {
    const nowMs = run.now();
    if (nowMs - last < PROGRESS_EVERY_MS) return;
    last = nowMs;
    const known = { rows_read: 0, records_planned: null, records_sent: null, records_failed: null, ...facts };
    const total = phase === "loading" ? known.records_planned : null;
    const { ratePerSecond, timeLeftMs } = meter.at(nowMs, doneIn(phase, known), total);
    publishProgress(run.connection, {
      ...run.ids,
      phase,
      ...known,
      current_step: currentStep(`started.${phase}`) ?? "Running sync",
      rate_per_second: ratePerSecond,
      time_left_ms: timeLeftMs,
    });
  };
}

/** What a phase counts: rows read, rows found to be sent, rows that the destination has judged. */
function doneIn(phase: RunProgress["phase"], known: Required<Progress>): number {
  if (phase === "loading") return (known.records_sent ?? 0) + (known.records_failed ?? 0);
  return phase === "diffing" ? (known.records_planned ?? 0) : known.rows_read;
}
