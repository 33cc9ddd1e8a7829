/** Why a run sends every valid row: what differs between the mapping that the state stands for and today's. */
import type { Fingerprint } from "../sources/fingerprint.ts";

/** Why a run sends every valid row, changed or not. Source: ours; behaviour.md 2.7. */
export type FullSyncReason =
  | "first_run"
  | "user_requested"
  | "mapping_added"
  | "mapping_changed"
  | "sync_key_changed"
  | "operation_changed"
  | "destination_changed"
  | "state_missing";

/** A fingerprint as it was stored; null when an earlier version of Egret wrote it in another form. */
export function parseFingerprint(stored: string): Fingerprint | null {
  try {
    const parsed = JSON.parse(stored) as Fingerprint;
    return parsed.version === 1 ? parsed : null;
  } catch {
    return null;
  }
}

/** What of a change calls for a full sync; a mapping that was only removed does not (behaviour.md 2.2, rules 9 and 10). */
export function mappingReasons(before: Fingerprint | null, now: Fingerprint): FullSyncReason[] {
  if (before === null) return ["mapping_changed"];
  const reasons: FullSyncReason[] = [];
  if (before.operation !== now.operation || before.highWaterMark !== now.highWaterMark)
    reasons.push("operation_changed");
  if (before.destinationId !== now.destinationId) reasons.push("destination_changed");
  if (before.key !== now.key) reasons.push("sync_key_changed");
  const names = Object.keys(now.fields);
  const added = names.filter((name) => before.fields[name] === undefined);
  const removed = Object.keys(before.fields).filter((name) => now.fields[name] === undefined);
  const freed = new Set(removed.map((name) => before.fields[name]));
  const renamed = added.filter((name) => freed.has(now.fields[name]));
  const isChanged = names.some(
    (name) => before.fields[name] !== undefined && before.fields[name] !== now.fields[name],
  );
  if (added.length > renamed.length) reasons.push("mapping_added");
  if (isChanged || renamed.length > 0 || before.object !== now.object) reasons.push("mapping_changed");
  return reasons;
}

/**
 * Whether nothing that was accepted before counts any more: another destination has none of it, a list of deletes is no
 * list of rows, and what an append has sent is known by its key or by its timestamps.
 */
export function isRestart(reason: FullSyncReason, before: Fingerprint | null, now: Fingerprint): boolean {
  const isAppend = now.operation === "append";
  switch (reason) {
    case "first_run":
    case "destination_changed":
      return true;
    case "operation_changed":
      if (before?.operation !== now.operation && [before?.operation, now.operation].includes("delete"))
        return true;
      return isAppend && before !== null && before.highWaterMark !== null;
    case "sync_key_changed":
      return isAppend && now.highWaterMark === null;
    case "state_missing":
      return isAppend;
    default:
      return false;
  }
}
