/** What the page of a sync shows and takes: its label, its schedule, what it does, and its mappings. */
import type { EntryOf } from "../../configuration/objectDesk.ts";
import { OPERATIONS } from "../../domain/configuration.ts";
import { emptyRow, type MappingRow, mappingsOfRows, readRows, rowsOf } from "./mappingRows.ts";
import type { Submission } from "./submission.ts";

type Entry = EntryOf["sync"];
type Schedule = NonNullable<Entry["schedule"]>;

/** How often, in words. */
export const FREQUENCIES: Readonly<Record<Schedule["frequency"], string>> = {
  never: "Only when it is started",
  continuous: "All the time",
  quarter_hourly: "Every 15 minutes",
  hourly: "Every hour",
  daily: "Every day",
  weekly: "Every week",
  expression: "By a cron expression",
};
export const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;

/** The texts and ticks of the form. */
export interface SyncState {
  label: string;
  operation: string;
  key: string;
  frequency: string;
  day: string;
  hour: string;
  minute: string;
  cron: string;
  isPaused: boolean;
  sendsEverything: boolean;
  rows: MappingRow[];
}

/** A sync that stands, as the form shows it. */
export function stateOfEntry(entry: Entry, isPaused: boolean): SyncState {
  const { schedule } = entry;
  return {
    label: entry.label ?? "",
    operation: entry.operation ?? "upsert",
    key: entry.key,
    frequency: schedule?.frequency ?? "never",
    day: schedule?.day ?? "Monday",
    hour: schedule?.hour === undefined ? "" : String(schedule.hour),
    minute: schedule?.minute === undefined ? "" : String(schedule.minute),
    cron: schedule?.cron_expression ?? "",
    isPaused,
    sendsEverything: entry.field_behavior === "sync_all_properties",
    rows: rowsOf(entry.mappings),
  };
}

/** The form as it was sent. */
export function stateOfForm(sent: Submission): SyncState {
  return {
    label: sent.text("label"),
    operation: sent.text("operation"),
    key: sent.text("key"),
    frequency: sent.text("frequency"),
    day: sent.text("day"),
    hour: sent.text("hour"),
    minute: sent.text("minute"),
    cron: sent.text("cron_expression"),
    isPaused: sent.isTicked("paused"),
    sendsEverything: sent.isTicked("field_behavior"),
    rows: readRows(sent),
  };
}

/** The rows with some more to fill in. */
export function withMoreRows(state: SyncState, count = 3): SyncState {
  return { ...state, rows: [...state.rows, ...Array.from({ length: count }, emptyRow)] };
}

/** The sync as the form has it, over the one that stands or a new one; the checks of a file find what is wrong. */
export function entryOfState(before: Entry, state: SyncState): Entry {
  const { schedule: _, field_behavior: _b, mappings, ...rest } = before;
  const schedule = scheduleOf(state, before.schedule);
  const chosen = mappingsOfRows(state.rows, mappings).map(({ mapping }) => mapping);
  const operation = OPERATIONS.find((each) => each === state.operation);
  return {
    ...rest,
    key: state.key,
    ...(operation === undefined ? {} : { operation }),
    ...(schedule === undefined ? {} : { schedule }),
    // It rests by hand, or by what stands in a file: unticked, by neither.
    paused: state.isPaused && before.paused === true,
    // A field name style means something only there.
    ...(state.sendsEverything
      ? { field_behavior: "sync_all_properties" }
      : { field_normalization: undefined }),
    ...(state.sendsEverything && chosen.length === 0 ? {} : { mappings: chosen }),
  };
}

function scheduleOf(state: SyncState, before: Schedule | undefined): Schedule | undefined {
  const frequency = state.frequency as Schedule["frequency"];
  if (frequency === "never") return before?.frequency === "never" ? before : undefined;
  const hour = state.hour === "" ? undefined : numberIn(state.hour);
  const minute = state.minute === "" ? undefined : numberIn(state.minute);
  const schedule: Schedule = { frequency };
  if (frequency === "weekly") schedule.day = state.day as Schedule["day"];
  if (frequency === "weekly" || frequency === "daily") schedule.hour = hour;
  if (frequency === "weekly" || frequency === "daily" || frequency === "hourly") schedule.minute = minute;
  if (frequency === "expression") schedule.cron_expression = state.cron;
  return schedule;
}

/** What is no number becomes NaN, which no check lets pass. */
const numberIn = (text: string): number => (/^\d{1,4}$/.test(text) ? Number(text) : Number.NaN);

/** Where a fault of the entry stands in the form: `map.3` is a row, as the table counts them. */
export function placeOfFault(state: SyncState, before: Entry["mappings"]): (field: string) => string {
  const places = mappingsOfRows(state.rows, before).map(({ at }) => at);
  return (field) => {
    const [, index] = /^mappings\[(\d+)\]/.exec(field) ?? [];
    if (index !== undefined) return `map.${places[Number(index)] ?? 0}`;
    return field.replace(/^schedule\.?/, "") || "frequency";
  };
}
