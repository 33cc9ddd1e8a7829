/** When a schedule fires: all kinds of behaviour.md 3.2, in UTC, as pure functions of an instant. */
import { Cron } from "croner";
import type { SyncOptions } from "./syncOptions.ts";

/** When a sync runs by itself. */
export type Schedule = NonNullable<SyncOptions["schedule"]>;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/** The week's day on which the count of milliseconds begins: 1 January 1970 was a Thursday. */
const EPOCH_DAY = 4;

/**
 * The first tick after an instant; null for a schedule that never fires. Of a continuous one the instant is the start
 * of the run before: it fires a minute later (ours), and no sooner than that run has ended.
 * @throws TypeError for a cron expression that scheduleFaults refuses.
 */
export function nextTick(schedule: Schedule, after: Date): Date | null {
  switch (schedule.frequency) {
    case "never":
      return null;
    case "continuous":
      return valid(after.getTime() + MINUTE_MS);
    case "quarter_hourly":
      return nextOf(after, 15 * MINUTE_MS, 0);
    case "hourly":
      return nextOf(after, HOUR_MS, minuteOf(schedule));
    case "daily":
      return nextOf(after, DAY_MS, timeOfDay(schedule));
    case "weekly": {
      const day = DAYS.indexOf(schedule.day ?? "Sunday");
      return nextOf(after, WEEK_MS, ((day - EPOCH_DAY + 7) % 7) * DAY_MS + timeOfDay(schedule));
    }
    case "expression":
      return cronOf(schedule.cron_expression ?? "").nextRun(after);
  }
}

/** The latest tick up to `now`, where `due`, one that is not after it, is the earliest that may be meant. */
export function latestTick(schedule: Schedule, due: Date, now: Date): Date {
  if (schedule.frequency === "continuous") {
    const passed = Math.floor((now.getTime() - due.getTime()) / MINUTE_MS);
    return new Date(due.getTime() + Math.max(0, passed) * MINUTE_MS);
  }
  let latest = due;
  let before = now;
  // Halves what is left each time: a year of downtime of a schedule of every minute is some twenty looks.
  for (;;) {
    const next = nextTick(schedule, latest);
    if (next === null || next > now) return latest;
    const middle = new Date(Math.floor((next.getTime() + before.getTime()) / 2));
    const later = nextTick(schedule, middle);
    if (later !== null && later <= now) latest = later;
    else {
      latest = next;
      before = middle;
    }
  }
}

/** A schedule in words, as a run's sync_trigger_reason shows them: `Hourly at minute 0`. */
export function scheduleWords(schedule: Schedule): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const time = `${two((schedule.hour ?? 0) % 24)}:${two(schedule.minute ?? 0)} UTC`;
  switch (schedule.frequency) {
    case "never":
      return "Never";
    case "continuous":
      return "Continuous";
    case "quarter_hourly":
      return "Every 15 minutes";
    case "hourly":
      return `Hourly at minute ${schedule.minute ?? 0}`;
    case "daily":
      return `Daily at ${time}`;
    case "weekly":
      return `${schedule.day ?? "Sunday"}s at ${time}`;
    case "expression":
      return `Cron ${schedule.cron_expression ?? ""}`;
  }
}

/** A field of a schedule that cannot stand as it does, and the fix. */
export interface ScheduleFault {
  field: "cron_expression" | "day" | "hour" | "minute";
  message: string;
}

const FIELDS: Readonly<Record<Schedule["frequency"], readonly ScheduleFault["field"][]>> = {
  never: [],
  continuous: [],
  quarter_hourly: [],
  hourly: ["minute"],
  daily: ["hour", "minute"],
  weekly: ["day", "hour", "minute"],
  expression: ["cron_expression"],
};

/** What the shape alone does not say: fields that the frequency does not have, a cron expression that cannot be. */
export function scheduleFaults(schedule: Schedule): ScheduleFault[] {
  const { frequency } = schedule;
  const faults: ScheduleFault[] = [];
  for (const field of ["cron_expression", "day", "hour", "minute"] as const) {
    if (schedule[field] !== undefined && !FIELDS[frequency].includes(field)) {
      faults.push({ field, message: `A schedule of frequency ${frequency} has no \`${field}\`; remove it.` });
    }
  }
  if (frequency === "weekly" && schedule.day === undefined) {
    faults.push({ field: "day", message: "A weekly schedule needs its `day`, such as Tuesday." });
  }
  if (frequency === "expression") {
    const message = cronFault(schedule.cron_expression);
    if (message !== null) faults.push({ field: "cron_expression", message });
  }
  return faults;
}

/** Lists, ranges, steps and names; nothing of what only some crons know, such as L, W or #. */
const CRON_FIELDS = /^[\d*,/A-Z-]+( +[\d*,/A-Z-]+){4}$/i;
/** Any instant: whether an expression ever fires does not hang on the day it is asked. */
const ANY_DAY = new Date(Date.UTC(2024, 0, 1));

function cronFault(expression: string | undefined): string | null {
  if (expression === undefined)
    return "Frequency `expression` needs a `cron_expression`, such as `0 6 * * 1-5`.";
  if (!CRON_FIELDS.test(expression.trim()) || /\b(?:L|W|LW)\b|\d[LW]/i.test(expression)) {
    return "Write five fields: minute, hour, day of month, month, day of week; each a number, *, list, range or step.";
  }
  try {
    if (cronOf(expression).nextRun(ANY_DAY) !== null) return null;
    return "No day fits this expression: it would never fire.";
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^\w+: /, "") : String(error);
    return `The expression cannot be read: ${reason}`;
  }
}

const crons = new Map<string, Cron>();
const MAX_CRONS = 1_000;

function cronOf(expression: string): Cron {
  const known = crons.get(expression);
  if (known !== undefined) return known;
  const cron = new Cron(expression.trim(), { timezone: "UTC", mode: "5-part", paused: true });
  if (crons.size >= MAX_CRONS) crons.clear();
  crons.set(expression, cron);
  return cron;
}

function minuteOf({ minute = 0 }: Schedule): number {
  return minute * MINUTE_MS;
}

/** 24 means 0 (behaviour.md 3.2). */
function timeOfDay(schedule: Schedule): number {
  return ((schedule.hour ?? 0) % 24) * HOUR_MS + minuteOf(schedule);
}

/** The first instant after another that lies `phaseMs` after a multiple of `periodMs` since 1970. */
function nextOf(after: Date, periodMs: number, phaseMs: number): Date | null {
  const periods = Math.floor((after.getTime() - phaseMs) / periodMs) + 1;
  return valid(periods * periodMs + phaseMs);
}

function valid(timeMs: number): Date | null {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? null : date;
}
