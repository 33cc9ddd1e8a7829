/** What a sync may say beyond source, destination, operation and mappings; the same names in egret.yaml, our Postgres and the API. */
import { z } from "zod";

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;

/** When a sync runs by itself, in UTC (behaviour.md 3.2). */
const scheduleSchema = z.strictObject({
  frequency: z
    .enum(["never", "continuous", "quarter_hourly", "hourly", "daily", "weekly", "expression"])
    .describe("how often; `expression` needs `cron_expression`"),
  day: z.enum(WEEKDAYS).optional().describe("day of a weekly schedule"),
  hour: z.int().min(0).max(24).optional().describe("hour of a daily or weekly schedule, UTC; 24 means 0"),
  minute: z.int().min(0).max(59).optional().describe("minute of an hourly, daily or weekly schedule"),
  cron_expression: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("five fields: minute, hour, day of month, month, day of week; UTC"),
});

const alertBase = {
  send_for: z
    .enum(["first_time", "every_time"])
    .default("first_time")
    .describe("tell of the first violation, or of each one"),
  should_send_recovery: z.boolean().default(true).describe("whether people are told when it clears"),
};
/** A number, or the same as a text of digits. Source: docs; behaviour.md 7.2. */
const numeric = (schema: z.ZodNumber) =>
  z.union([
    schema,
    z.string().regex(/^\d+$/, { error: "Write a whole number." }).transform(Number).pipe(schema),
  ]);
const percent = numeric(z.int().min(0).max(100));
const none = z.null().default(null);

/** What a sync is watched for (behaviour.md 7.2). */
const alertSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("FailureAlertConfiguration"), ...alertBase, options: none }),
  z.strictObject({
    type: z.literal("InvalidRecordPercentAlertConfiguration"),
    ...alertBase,
    options: z
      .strictObject({ threshold: percent.default(75).describe("0: any failed record") })
      .default({ threshold: 75 }),
  }),
  z.strictObject({
    type: z.literal("StatusAlertConfiguration"),
    ...alertBase,
    options: z.strictObject({ status_name: z.enum(["started", "completed"]) }),
  }),
  z.strictObject({ type: z.literal("FullSyncTriggerAlertConfiguration"), ...alertBase, options: none }),
  z.strictObject({
    type: z.literal("RuntimeAlertConfiguration"),
    ...alertBase,
    options: z.strictObject({
      threshold: numeric(z.int().min(1).max(100_000)),
      unit: z.enum(["minutes", "hours"]).default("minutes"),
      start_type: z.enum(["actual", "scheduled"]).default("actual"),
    }),
  }),
  z.strictObject({
    type: z.literal("RecordCountDeviationAlertConfiguration"),
    ...alertBase,
    options: z.strictObject({
      threshold: numeric(z.int().min(0).max(100_000)).describe("percent of the mean"),
      record_type: z.enum([
        "source_record_count",
        "records_updates",
        "records_deletes",
        "records_invalid",
        "records_processed",
        "records_updated",
        "records_failed",
      ]),
      lookback_runs: numeric(z.int().min(1).max(100)).default(10),
    }),
  }),
]);

const share = z.number().min(0).max(100).optional();

/** The fields by name, each with its default; operation and destination decide which of them mean something. */
export const syncOptionsShape = {
  paused: z.boolean().default(false).describe("true: schedules and other triggers start nothing"),
  schedule: scheduleSchema.optional().describe("when it runs by itself; left out: never"),
  sync_sequence: z
    .string()
    .min(1)
    .optional()
    .describe("name of a sync of this file after whose success it runs"),
  overlap_policy: z
    .enum(["skip", "queue_one"])
    .default("skip")
    .describe("a trigger while a run is under way: skipped, or one run waits"),
  historical_sync_operation: z
    .enum(["backfill_all_records", "skip_current_records"])
    .optional()
    .describe("append: whether the first run sends the rows that are there; left out: it does"),
  high_water_mark_attribute: z
    .string()
    .min(1)
    .optional()
    .describe("append: timestamp column by which new rows are found, instead of by key"),
  send_full_record_on_delete: z
    .boolean()
    .default(false)
    .describe("mirror: a deleted row travels with its last values, not with its key alone"),
  max_delete_percent: share.describe(
    "mirror: a run that would delete more than this share of what was sent fails and sends nothing",
  ),
  max_rejected_percent: share.describe("a run stops once more than this share of its rows was rejected"),
  split_rejected_batches: z
    .boolean()
    .optional()
    .describe(
      "halve a rejected batch until only bad rows stay out; left out: yes for webhook, no for http_request",
    ),
  field_behavior: z
    .enum(["specific_properties", "sync_all_properties"])
    .default("specific_properties")
    .describe("sync_all_properties sends every column and follows new ones"),
  field_normalization: z
    .enum(["start_case", "lower_case", "upper_case", "camel_case", "snake_case", "match_source_names"])
    .optional()
    .describe("how sync_all_properties names fields; left out: as the columns"),
  field_order: z
    .enum(["alphabetical_column_name", "mapping_order"])
    .default("alphabetical_column_name")
    .describe("order of the fields of a record"),
  timestamp_format: z
    .enum(["space_separated", "iso8601"])
    .default("space_separated")
    .describe("how timestamps are written"),
  alerts: z
    .array(alertSchema)
    .max(50)
    .optional()
    .describe("what it is watched for; left out: failures and failed records"),
};

/** Options as they stand in our Postgres. */
export const syncOptionsSchema = z.object(syncOptionsShape);
export type SyncOptions = z.infer<typeof syncOptionsSchema>;

/** Names of the options. */
export const SYNC_OPTIONS = Object.keys(syncOptionsShape) as (keyof SyncOptions)[];
