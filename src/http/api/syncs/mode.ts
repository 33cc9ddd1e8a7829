/** When a sync runs by itself: `mode`, the older flat fields, and the schedule and sequence of egret.yaml (behaviour.md 3). */
import { z } from "@hono/zod-openapi";
import type { FieldProblem } from "../../../domain/errors.ts";
import type { Schedule } from "../../../domain/schedule.ts";
import { syncOptionsShape } from "../../../domain/syncOptions.ts";
import { idInBody } from "../endpoint.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const FREQUENCIES = [
  "never",
  "continuous",
  "quarter_hourly",
  "hourly",
  "daily",
  "weekly",
  "expression",
] as const;

const frequency = z
  .union([z.enum(FREQUENCIES), z.literal("")], { error: `Write one of ${FREQUENCIES.join(", ")}.` })
  .nullish();
/** A name, or its number from 0 for Sunday. Source: a released client sends numbers. */
const day = z
  .union([z.string(), z.int()], { error: "Write the day, such as Tuesday." })
  .nullish()
  .openapi({ type: "string", description: "of a weekly schedule: Sunday to Saturday" });
const whole = z.int({ error: "Write a whole number." }).nullish();
const cron = z.string({ error: "Write the expression as a text." }).nullish();

const scheduleInput = z.object({
  frequency,
  day,
  hour: whole.openapi({ description: "0 to 24, UTC; 24 means 0" }),
  minute: whole.openapi({ description: "0 to 59" }),
  cron_expression: cron.openapi({ description: "five fields, UTC; for frequency `expression`" }),
});

const keptTrigger = z.record(z.string(), z.unknown()).nullish();

const triggersInput = z.object({
  schedule: scheduleInput.nullish(),
  sync_sequence: z
    .object({ sync_id: idInBody.nullish() })
    .nullish()
    .openapi({ description: "after whose success it runs" }),
  dbt_cloud: keptTrigger.openapi({
    description: "kept and shown again; what starts the sync is a hook (`egret hook`)",
  }),
  fivetran: keptTrigger.openapi({
    description: "kept and shown again; what starts the sync is a hook (`egret hook`)",
  }),
});

/** Fields of a request that say when a sync runs. */
export const timingInput = {
  mode: z
    .object({
      type: z
        .string({ error: "Write triggered." })
        .nullish()
        .openapi({ enum: ["triggered"] }),
      triggers: triggersInput.nullish(),
    })
    .nullish(),
  triggers: triggersInput
    .nullish()
    .openapi({ description: "the same as `mode.triggers`, which counts before" }),
  schedule_frequency: frequency.openapi({ description: "older flat form; `mode` counts before" }),
  schedule_day: day,
  schedule_hour: whole,
  schedule_minute: whole,
  cron_expression: cron,
};
const timingSchema = z.object(timingInput);
export type TimingInput = z.infer<typeof timingSchema>;
type ScheduleInput = z.infer<typeof scheduleInput>;

/** `mode` as it is shown: always there. */
export const modeSchema = z
  .object({
    type: z.literal("triggered"),
    triggers: z.object({
      schedule: z
        .object({
          frequency: z.enum(FREQUENCIES),
          day: z.string().optional(),
          hour: z.int().optional(),
          minute: z.int().optional(),
          cron_expression: z.string().optional(),
        })
        .optional(),
      sync_sequence: z.object({ sync_id: z.int() }).optional(),
      dbt_cloud: z.record(z.string(), z.unknown()).optional(),
      fivetran: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .openapi("SyncMode");

/** What is kept for readers beside the schedule that the engine has. */
export interface KeptTiming {
  dbt_cloud?: Record<string, unknown> | null;
  fivetran?: Record<string, unknown> | null;
}

/** What a request says of the timing; what is left out of it stays. */
export interface ReadTiming {
  /** Null: by nothing. */
  schedule?: Schedule | null;
  /** Id of the sync after which it runs; null: none. */
  sequenceParent?: number | null;
  kept?: KeptTiming;
  problems: FieldProblem[];
  /** The client's word for a field of the schedule, or for the schedule. */
  nameOf(field: string): string;
}

const MODE_SCHEDULE = "mode.triggers.schedule";

/** Reads it, the flat fields being merged over the schedule that stands; `mode` replaces what was. */
export function readTiming(input: TimingInput, standing: Schedule | undefined): ReadTiming {
  const triggers = input.mode?.triggers ?? input.triggers ?? (input.mode ? {} : undefined);
  if (triggers === undefined || triggers === null) return readFlat(input, standing);
  const problems: FieldProblem[] = [];
  if (input.mode?.type === "live") {
    problems.push({ field: "mode.type", message: "There are no live syncs here; write triggered." });
  } else if ((input.mode?.type ?? "triggered") !== "triggered") {
    problems.push({ field: "mode.type", message: "Write triggered." });
  }
  const nameOf = (field: string) => (field === "" ? MODE_SCHEDULE : `${MODE_SCHEDULE}.${field}`);
  const flat = readFlat(input, undefined);
  // A client that sends both forms of one schedule means the newer one.
  const schedule =
    triggers.schedule === undefined || triggers.schedule === null ? null : toSchedule(triggers.schedule);
  // `never` beside a mode without a schedule is how such a sync is shown.
  const isMeant = flat.schedule?.frequency !== "never" || input.mode === undefined || input.mode === null;
  const fromFlat = schedule === null && isMeant ? flat : null;
  return {
    schedule: fromFlat?.schedule ?? schedule,
    sequenceParent: triggers.sync_sequence?.sync_id ?? null,
    kept: { dbt_cloud: triggers.dbt_cloud ?? null, fivetran: triggers.fivetran ?? null },
    problems: [...problems, ...(fromFlat?.problems ?? [])],
    nameOf: fromFlat?.schedule ? flat.nameOf : nameOf,
  };
}

const FLAT_FIELDS = [
  "schedule_frequency",
  "schedule_day",
  "schedule_hour",
  "schedule_minute",
  "cron_expression",
] as const;

function readFlat(input: TimingInput, standing: Schedule | undefined): ReadTiming {
  const nameOf = (field: string) =>
    field === "" ? "schedule_frequency" : field === "cron_expression" ? field : `schedule_${field}`;
  const isGiven = FLAT_FIELDS.some((name) => input[name] !== undefined && input[name] !== null);
  if (!isGiven) return { problems: [], nameOf };
  const given = {
    frequency: input.schedule_frequency,
    day: input.schedule_day,
    hour: input.schedule_hour,
    minute: input.schedule_minute,
    cron_expression: input.cron_expression,
  };
  const merged: ScheduleInput = { ...standing };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && value !== null) Object.assign(merged, { [name]: value });
  // A new expression is what is meant, whatever stood before; a new frequency does without it.
  if (given.cron_expression && !given.frequency) merged.frequency = "expression";
  if (given.frequency && given.frequency !== "expression" && !given.cron_expression)
    delete merged.cron_expression;
  return { schedule: toSchedule(merged), problems: [], nameOf };
}

/** Fields that a frequency has; others are left out, as clients send hour 0 with everything. */
const FIELDS: Readonly<Record<Schedule["frequency"], readonly ("day" | "hour" | "minute")[]>> = {
  never: [],
  continuous: [],
  quarter_hourly: [],
  hourly: ["minute"],
  daily: ["hour", "minute"],
  weekly: ["day", "hour", "minute"],
  expression: [],
};

/** A schedule as it reads back: a missing hour or minute is 0 (behaviour.md 3.2). */
export function toSchedule(input: ScheduleInput): Schedule {
  const expression = input.cron_expression ?? "";
  const chosen = input.frequency ?? "";
  const kind = chosen === "" ? (expression === "" ? "never" : "expression") : chosen;
  const schedule: Schedule = { frequency: kind };
  const own = FIELDS[kind];
  const dayName = dayOf(input.day);
  if (own.includes("day") && dayName !== undefined) schedule.day = dayName as NonNullable<Schedule["day"]>;
  if (own.includes("hour")) schedule.hour = input.hour ?? 0;
  if (own.includes("minute")) schedule.minute = input.minute ?? 0;
  if (expression !== "") schedule.cron_expression = expression;
  return schedule;
}

function dayOf(given: string | number | null | undefined): string | undefined {
  if (given === null || given === undefined || given === "") return undefined;
  const text = String(given);
  if (/^[0-6]$/.test(text)) return DAYS[Number(text)];
  return DAYS.find((name) => name.toLowerCase() === text.toLowerCase()) ?? text;
}

/** The flat fields as they are shown. The day stands in `mode` alone: a released client reads a number here. */
export function presentFlatSchedule(stored: Schedule | undefined) {
  const schedule = stored === undefined ? undefined : toSchedule(stored);
  return {
    schedule_frequency: schedule?.frequency ?? ("never" as const),
    schedule_day: null,
    schedule_hour: schedule?.hour ?? null,
    schedule_minute: schedule?.minute ?? null,
    cron_expression: schedule?.cron_expression ?? null,
  };
}

/** In the document. */
export const flatScheduleShape = {
  schedule_frequency: z.enum(FREQUENCIES),
  schedule_day: z.null().openapi({ description: "see mode.triggers.schedule.day" }),
  schedule_hour: z.int().nullable(),
  schedule_minute: z.int().nullable(),
  cron_expression: z.string().nullable(),
};

/** `mode` of a sync; of its schedule what was set. */
export function presentMode(
  { schedule, parentId }: { schedule: unknown; parentId: number | null },
  kept: KeptTiming,
): z.infer<typeof modeSchema> {
  const known = syncOptionsShape.schedule.parse(schedule ?? undefined);
  return {
    type: "triggered",
    triggers: {
      ...(known === undefined ? {} : { schedule: withoutGaps(toSchedule(known)) }),
      ...(parentId === null ? {} : { sync_sequence: { sync_id: parentId } }),
      ...(kept.dbt_cloud ? { dbt_cloud: kept.dbt_cloud } : {}),
      ...(kept.fivetran ? { fivetran: kept.fivetran } : {}),
    },
  };
}

type ShownSchedule = NonNullable<z.infer<typeof modeSchema>["triggers"]["schedule"]>;

function withoutGaps({
  frequency: kind,
  day: weekday,
  hour,
  minute,
  cron_expression,
}: Schedule): ShownSchedule {
  return {
    frequency: kind,
    ...(weekday === undefined ? {} : { day: weekday }),
    ...(hour === undefined ? {} : { hour }),
    ...(minute === undefined ? {} : { minute }),
    ...(cron_expression === undefined ? {} : { cron_expression }),
  };
}
