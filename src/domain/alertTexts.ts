/** What subscribers read in `message` and `details` of an alert (behaviour.md 7.5). Counts and names only, never a row. */

interface Text<K extends string> {
  kind: K;
  message: string;
  details: string;
}

/** A failed run; the message is the run's own, which names no row. Source: docs. */
export function failureRaised(errorMessage: string | null): Text<"violated"> {
  const details = `Sync has failed with error: ${errorMessage ?? "unknown"}`;
  return { kind: "violated", message: "Sync Failed", details };
}

/** The next completed run. Source: docs. */
export const FAILURE_RESOLVED: Text<"kept"> = {
  kind: "kept",
  message: "Sync Recovered",
  details: "Sync has recovered",
};

/** A run that started or completed. Source: ours. */
export function statusRaised(status: "started" | "completed", runId: number): Text<"came"> {
  const message = status === "started" ? "Sync Started" : "Sync Completed";
  return { kind: "came", message, details: `Run ${runId} has ${status}` };
}

/** A full sync, with the codes of its reasons. Source: ours. */
export function fullSyncRaised(reasons: readonly string[]): Text<"came"> {
  return { kind: "came", message: "Full Sync Triggered", details: `Reasons: ${reasons.join(", ")}` };
}

/** A run that is not finished in time. Source: ours. */
export function runtimeRaised(options: {
  threshold: number;
  unit: string;
  start_type: string;
}): Text<"violated"> {
  const details = `Run exceeded ${options.threshold} ${options.unit} since ${options.start_type} start`;
  return { kind: "violated", message: "Sync Running Long", details };
}

/** A run that finished in time. Source: ours. */
export function runtimeResolved(tookMs: number): Text<"kept"> {
  return { kind: "kept", message: "Sync Runtime Recovered", details: `Run finished in ${spoken(tookMs)}` };
}

/** Both texts of failed records. Source: ours. */
export function invalidRecordsDetails(found: {
  isViolated: boolean;
  failed: number;
  total: number;
  threshold: number;
}): string {
  const { isViolated, failed, total, threshold } = found;
  const share = total === 0 ? 0 : (100 * failed) / total;
  const percent = percentText(share, threshold);
  return isViolated
    ? `${failed} of ${total} records (${percent}%) were invalid or rejected, above ${threshold}%`
    : `${percent}% of records failed, within ${threshold}%`;
}

/** Both texts of a count that deviates. Source: ours. */
export function deviationDetails(found: {
  record_type: string;
  value: number;
  mean: number;
  lookback_runs: number;
  threshold: number;
}): string {
  const { record_type, value, mean, lookback_runs, threshold } = found;
  return `${record_type} was ${value}, average ${rounded(mean, 2)} over ${lookback_runs} runs, limit ${threshold}%`;
}

/** Two decimals, and more where those would say that a share is just the threshold, which it is not. */
function percentText(share: number, threshold: number): string {
  const digits = [2, 3, 4, 5, 6].find((count) => share === threshold || rounded(share, count) !== threshold);
  return String(rounded(share, digits ?? 6));
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** `12 s`, `3 min 20 s`, `2 h 5 min`. */
function spoken(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}
