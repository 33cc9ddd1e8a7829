/** What a sync is watched for: `alert_attributes`, and the older switches for failed runs and failed records (behaviour.md 7). */
import { z } from "@hono/zod-openapi";
import type { EntryOf } from "../../../configuration/objectDesk.ts";
import { type AlertSetting, type AlertType, DEFAULT_ALERTS } from "../../../domain/alert.ts";
import { ALERT_TYPES } from "../../../domain/alertTypes.ts";

type EntryAlerts = NonNullable<EntryOf["sync"]["alerts"]>;

const OPTIONS: Readonly<Record<AlertType, readonly string[]>> = {
  FailureAlertConfiguration: [],
  InvalidRecordPercentAlertConfiguration: ["threshold"],
  StatusAlertConfiguration: ["status_name"],
  FullSyncTriggerAlertConfiguration: [],
  RuntimeAlertConfiguration: ["threshold", "unit", "start_type"],
  RecordCountDeviationAlertConfiguration: ["threshold", "record_type", "lookback_runs"],
};

const alertInput = z.object({
  type: z.enum(ALERT_TYPES, { error: `Write one of ${ALERT_TYPES.join(", ")}.` }),
  send_for: z
    .enum(["first_time", "every_time"], { error: "Write first_time or every_time." })
    .nullish()
    .openapi({ description: "first_time when left out" }),
  should_send_recovery: z.boolean({ error: "Write true or false." }).nullish(),
  options: z
    .record(z.string(), z.unknown())
    .nullish()
    .openapi({ description: "of its type; numbers count as texts of digits too" }),
});

const percent = z
  .union(
    [
      z.int().min(0).max(100),
      z
        .string()
        .regex(/^\d{1,2}$|^100$/)
        .transform(Number),
    ],
    {
      error: "Write a whole number from 0 to 100.",
    },
  )
  .nullish()
  .openapi({ type: "integer", minimum: 0, maximum: 100, description: "older form" });
const isOn = z.boolean({ error: "Write true or false." }).nullish();

/** Fields of a request that say what a sync is watched for. */
export const alertsInput = {
  alert_attributes: z
    .array(alertInput)
    .max(50)
    .nullish()
    .openapi({ description: "all of them; left out: failed runs and failed records; an empty list: none" }),
  failed_run_notifications_enabled: isOn.openapi({
    description: "older form; alert_attributes counts before",
  }),
  failed_record_notifications_enabled: isOn.openapi({
    description: "older form; alert_attributes counts before",
  }),
  failed_record_notifications_threshold_percent: percent,
};
const alertsSchema = z.object(alertsInput);
export type AlertsInput = z.infer<typeof alertsSchema>;

/** How alerts are shown. */
export const alertsShape = {
  alert_attributes: z.array(
    z
      .object({
        id: z.int(),
        type: z.enum(ALERT_TYPES),
        send_for: z.enum(["first_time", "every_time"]),
        should_send_recovery: z.boolean(),
        options: z.record(z.string(), z.unknown()).nullable(),
      })
      .openapi("AlertConfiguration"),
  ),
  failed_run_notifications_enabled: z.boolean(),
  failed_record_notifications_enabled: z.boolean(),
  failed_record_notifications_threshold_percent: z.int(),
};

/** The alerts that a request asks for, those that stand being `standing`; undefined where it says nothing of them. */
export function readAlerts(input: AlertsInput, standing: EntryAlerts | undefined): EntryAlerts | undefined {
  if (input.alert_attributes !== null && input.alert_attributes !== undefined)
    return input.alert_attributes.map(toEntry);
  const {
    failed_run_notifications_enabled: runs,
    failed_record_notifications_enabled: records,
    failed_record_notifications_threshold_percent: threshold,
  } = input;
  if ([runs, records, threshold].every((each) => each === null || each === undefined)) return undefined;
  let alerts = standing ?? structuredClone([...DEFAULT_ALERTS] as EntryAlerts);
  alerts = switched(alerts, { type: "FailureAlertConfiguration" }, runs);
  alerts = switched(alerts, { type: "InvalidRecordPercentAlertConfiguration" }, records);
  if (threshold === null || threshold === undefined) return alerts;
  const withThreshold: EntryAlerts = [];
  for (const alert of alerts) {
    const hasIt = alert.type === "InvalidRecordPercentAlertConfiguration";
    withThreshold.push(hasIt ? { ...alert, options: { threshold } } : alert);
  }
  return withThreshold;
}

function toEntry({ type, send_for, should_send_recovery, options }: z.infer<typeof alertInput>) {
  const own = OPTIONS[type].flatMap((name) => {
    const value = options?.[name];
    return value === undefined || value === null || value === "" ? [] : [[name, value] as const];
  });
  // A type without options takes none; of others what is missing is told by the checks.
  const needs =
    OPTIONS[type].length > 0 && (own.length > 0 || type !== "InvalidRecordPercentAlertConfiguration");
  return {
    type,
    send_for: send_for ?? "first_time",
    should_send_recovery: should_send_recovery ?? true,
    ...(needs ? { options: Object.fromEntries(own) } : {}),
  } as unknown as EntryAlerts[number];
}

function switched(
  alerts: EntryAlerts,
  wanted: { type: "FailureAlertConfiguration" | "InvalidRecordPercentAlertConfiguration" },
  isWanted: boolean | null | undefined,
): EntryAlerts {
  if (isWanted === null || isWanted === undefined) return alerts;
  if (!isWanted) return alerts.filter(({ type }) => type !== wanted.type);
  return alerts.some(({ type }) => type === wanted.type) ? alerts : [...alerts, { ...wanted }];
}

/** An alert configuration as it stands. */
export interface StandingAlert {
  id: number;
  setting: AlertSetting;
}

/** The alerts for readers. */
export function presentAlerts(alerts: readonly StandingAlert[]) {
  const ofType = (wanted: AlertType) => alerts.find(({ setting }) => setting.type === wanted)?.setting;
  const records = ofType("InvalidRecordPercentAlertConfiguration");
  const threshold =
    records?.type === "InvalidRecordPercentAlertConfiguration" ? records.options.threshold : 75;
  return {
    alert_attributes: alerts.map(({ id, setting }) => ({
      id,
      type: setting.type,
      send_for: setting.send_for,
      should_send_recovery: setting.should_send_recovery,
      options: setting.options as Record<string, unknown> | null,
    })),
    failed_run_notifications_enabled: ofType("FailureAlertConfiguration") !== undefined,
    failed_record_notifications_enabled: records !== undefined,
    failed_record_notifications_threshold_percent: threshold,
  };
}
