/** When an alert of a sync is raised and when it resolves: what each type makes of a run (behaviour.md 7.2 to 7.4). */
import {
  deviationDetails,
  FAILURE_RESOLVED,
  failureRaised,
  fullSyncRaised,
  invalidRecordsDetails,
  runtimeRaised,
  runtimeResolved,
  statusRaised,
} from "./alertTexts.ts";
import type { RunCounters } from "./event.ts";
import type { SyncOptions } from "./syncOptions.ts";

/** What a sync is watched for, as its options say it. */
export type AlertSetting = NonNullable<SyncOptions["alerts"]>[number];
export type AlertType = AlertSetting["type"];
type Setting<T extends AlertType> = Extract<AlertSetting, { type: T }>;
export type DeviationSetting = Setting<"RecordCountDeviationAlertConfiguration">;
export type RuntimeSetting = Setting<"RuntimeAlertConfiguration">;

/** Watched on a sync that says nothing of alerts: failed runs and failed records. Source: docs; behaviour.md 7.1. */
export const DEFAULT_ALERTS: readonly AlertSetting[] = [
  { type: "FailureAlertConfiguration", send_for: "first_time", should_send_recovery: true, options: null },
  {
    type: "InvalidRecordPercentAlertConfiguration",
    send_for: "first_time",
    should_send_recovery: true,
    options: { threshold: 75 },
  },
];

/** When a run began, ms: `scheduledMs` is when it was triggered, unless it was due at another time; null: not yet. */
export interface RunStarts {
  actualMs: number | null;
  scheduledMs: number;
}

/** A run that has ended. */
export interface EndedRun extends RunStarts {
  runId: number;
  status: "ok" | "emergency";
  canceled: boolean;
  errorMessage: string | null;
  counters: RunCounters;
  endedMs: number;
}

/** A moment of a run at which alerts are looked at. `valuesBefore` is what the setting compares with, newest first. */
export type Moment =
  | { kind: "started"; runId: number }
  | { kind: "checked"; fullSync: boolean; reasons: readonly string[] }
  | { kind: "overdue" }
  | { kind: "ended"; run: EndedRun; valuesBefore: readonly number[] };

/** What a moment means for an alert: its limit is violated or kept, or what it waits for has come; null: neither. */
export type Verdict = { kind: "violated" | "kept" | "came"; message: string; details: string } | null;

/** What one setting says to one moment of a run. */
export function judge(setting: AlertSetting, moment: Moment): Verdict {
  switch (moment.kind) {
    case "started":
      return isStatus(setting, "started") ? statusRaised("started", moment.runId) : null;
    case "checked": {
      if (setting.type !== "FullSyncTriggerAlertConfiguration" || !moment.fullSync) return null;
      // Until anything was accepted, each run is the first in effect: that is no news (behaviour.md 13.15).
      return moment.reasons.includes("first_run") ? null : fullSyncRaised(moment.reasons);
    }
    case "overdue":
      return setting.type === "RuntimeAlertConfiguration" ? runtimeRaised(setting.options) : null;
    case "ended":
      // Of a cancelled run nothing is said, good or bad (behaviour.md 13.35).
      return moment.run.canceled ? null : judgeEnd(setting, moment.run, moment.valuesBefore);
  }
}

function isStatus(setting: AlertSetting, name: "started" | "completed"): boolean {
  return setting.type === "StatusAlertConfiguration" && setting.options.status_name === name;
}

function judgeEnd(setting: AlertSetting, run: EndedRun, valuesBefore: readonly number[]): Verdict {
  if (setting.type === "RuntimeAlertConfiguration") return judgeRuntime(setting, run);
  if (run.status === "emergency") {
    return setting.type === "FailureAlertConfiguration" ? failureRaised(run.errorMessage) : null;
  }
  switch (setting.type) {
    case "FailureAlertConfiguration":
      return FAILURE_RESOLVED;
    case "InvalidRecordPercentAlertConfiguration":
      return judgeFailedRecords(setting.options.threshold, run.counters);
    case "RecordCountDeviationAlertConfiguration":
      return judgeDeviation(setting, valueOf(setting, run.counters), valuesBefore);
    case "StatusAlertConfiguration":
      return isStatus(setting, "completed") ? statusRaised("completed", run.runId) : null;
    case "FullSyncTriggerAlertConfiguration":
      return null;
  }
}

/** Strictly above the threshold, and all of them for 100 (behaviour.md 7.3, 13.12). */
function judgeFailedRecords(threshold: number, counters: RunCounters): Verdict {
  const invalid = counters.source_record_invalids ?? 0;
  const failed = invalid + (counters.records_failed ?? 0);
  const total = invalid + (counters.records_processed ?? 0);
  // Whole numbers multiplied, not divided: exactly at the threshold is not above it.
  const isViolated = total > 0 && (threshold === 100 ? failed >= total : failed * 100 > threshold * total);
  return {
    kind: isViolated ? "violated" : "kept",
    message: isViolated ? "Records Failed" : "Records Recovered",
    details: invalidRecordsDetails({ isViolated, failed, total, threshold }),
  };
}

/** The value that a deviation alert watches; null where the run does not know it. */
export function valueOf(
  { options: { record_type } }: DeviationSetting,
  counters: RunCounters,
): number | null {
  switch (record_type) {
    case "source_record_count":
      return counters.source_record_count;
    case "records_updates":
      return counters.source_record_updates;
    case "records_deletes":
      return counters.source_record_deletes;
    case "records_invalid":
      return counters.source_record_invalids;
    case "records_processed":
    case "records_updated":
    case "records_failed":
      return counters[record_type];
  }
}

/** Says nothing until as many runs as it looks back on were completed. */
function judgeDeviation(
  { options }: DeviationSetting,
  value: number | null,
  valuesBefore: readonly number[],
): Verdict {
  const { threshold, lookback_runs: runs } = options;
  if (value === null || valuesBefore.length < runs) return null;
  const sum = valuesBefore.slice(0, runs).reduce((total, each) => total + each, 0);
  // |value - mean| > threshold % of the mean, multiplied out; a mean of 0 makes any value a violation.
  const isViolated = Math.abs(value * runs - sum) * 100 > threshold * sum;
  return {
    kind: isViolated ? "violated" : "kept",
    message: isViolated ? "Record Count Deviation" : "Record Count Recovered",
    details: deviationDetails({ ...options, value, mean: sum / runs }),
  };
}

const UNIT_MS = { minutes: 60_000, hours: 3_600_000 } as const;

/** When the run is late, ms; null as long as the start that the setting counts from has not come. */
export function overdueAtMs({ options }: RuntimeSetting, starts: RunStarts): number | null {
  const startMs = options.start_type === "actual" ? starts.actualMs : starts.scheduledMs;
  return startMs === null ? null : startMs + options.threshold * UNIT_MS[options.unit];
}

/** A run that took too long is late even where no process was there to notice it in time. */
function judgeRuntime(setting: RuntimeSetting, run: EndedRun): Verdict {
  const dueMs = overdueAtMs(setting, run);
  if (dueMs === null) return null;
  if (run.endedMs > dueMs) return runtimeRaised(setting.options);
  const startMs = setting.options.start_type === "actual" ? (run.actualMs ?? 0) : run.scheduledMs;
  return runtimeResolved(run.endedMs - startMs);
}

/**
 * What becomes of an alert by a verdict: the name of the fact, or null for nothing. `first_time` tells of the first
 * violation only, and again once it resolved (behaviour.md 7.1).
 */
export function factFor(
  verdict: Verdict,
  { isRaised, sendFor }: { isRaised: boolean; sendFor: AlertSetting["send_for"] },
): "limit.violated" | "moment.came" | "limit.kept" | null {
  if (verdict === null) return null;
  if (verdict.kind === "came") return "moment.came";
  if (verdict.kind === "kept") return isRaised ? "limit.kept" : null;
  return isRaised && sendFor === "first_time" ? null : "limit.violated";
}
