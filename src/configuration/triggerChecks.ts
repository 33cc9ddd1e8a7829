/** What must hold of the triggers of the syncs in egret.yaml: schedules that can fire, sequences that lead somewhere. */
import { scheduleFaults } from "../domain/schedule.ts";
import type { FieldPath } from "./fileProblem.ts";
import type { FileShape } from "./fileSchema.ts";
import { suggestion } from "./nearest.ts";

/** A fault at a path below the sync's own, and its fix. */
export interface TriggerFault {
  path: FieldPath;
  message: string;
}

/**
 * Faults of one sync's schedule and sequence (behaviour.md 3.2, 3.6). `names` holds every sync that the file declares,
 * also those whose shape is wrong.
 */
export function triggerFaults(name: string, file: FileShape, names: readonly string[]): TriggerFault[] {
  const { schedule, sync_sequence: parent } = file.syncs[name] ?? {};
  const faults: TriggerFault[] = [];
  for (const { field, message } of schedule === undefined ? [] : scheduleFaults(schedule)) {
    faults.push({ path: schedule?.[field] === undefined ? ["schedule"] : ["schedule", field], message });
  }
  const message = parent === undefined ? null : sequenceFault(name, parent, { file, names });
  if (message !== null) faults.push({ path: ["sync_sequence"], message });
  return faults;
}

function sequenceFault(
  name: string,
  parent: string,
  { file, names }: { file: FileShape; names: readonly string[] },
): string | null {
  if (parent === name) return "A sync cannot run after itself; name another one.";
  if (!names.includes(parent)) return `There is no sync "${parent}".${suggestion(parent, names)}`;
  const way = [name];
  for (let next: string | undefined = parent; next !== undefined; next = file.syncs[next]?.sync_sequence) {
    way.push(next);
    if (next === name) return `Syncs that run after each other go round in a circle: ${way.join(" after ")}.`;
    // A circle further on, which does not come back here: told at the syncs that are in it.
    if (way.indexOf(next) < way.length - 1) return null;
  }
  return null;
}
