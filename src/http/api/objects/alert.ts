/** An alert, one episode from its first raise to its resolution, as the API shows it. */
import { z } from "@hono/zod-openapi";
import type { ListedAlert } from "../../../projections/alerts.ts";
import { instant, instantOrNull } from "../answers.ts";

/** In the document (behaviour.md 7; the names are ours). */
export const alertSchema = z
  .object({
    id: z.int().openapi({ description: "the alert_instance_id that webhooks get" }),
    alert_configuration_id: z.int(),
    type: z.string().openapi({ example: "FailureAlertConfiguration" }),
    status: z.enum(["open", "resolved"]),
    sync_id: z.int(),
    sync_name: z.string().nullable(),
    message: z.string(),
    details: z.string(),
    followup_url: z.string(),
    times_raised: z.int(),
    raised_at: z.iso.datetime(),
    raised_sync_run_id: z.int(),
    last_raised_at: z.iso.datetime(),
    last_raised_sync_run_id: z.int(),
    resolved_at: z.iso.datetime().nullable(),
    resolved_sync_run_id: z.int().nullable(),
    resolution: z
      .string()
      .nullable()
      .openapi({ description: "recovered, moment, configuration_deleted or sync_deleted" }),
    resolved_message: z.string().nullable(),
    resolved_details: z.string().nullable(),
  })
  .openapi("Alert");

/** An episode in the API's form. */
export function presentAlert(alert: ListedAlert): z.infer<typeof alertSchema> {
  return {
    id: alert.id,
    alert_configuration_id: alert.configuration_id,
    type: alert.type,
    status: alert.state,
    sync_id: alert.sync_id,
    sync_name: alert.sync_name,
    message: alert.message,
    details: alert.details,
    followup_url: alert.followup_url,
    times_raised: alert.times_raised,
    raised_at: instant(alert.raised_at),
    raised_sync_run_id: alert.raised_run_id,
    last_raised_at: instant(alert.last_raised_at),
    last_raised_sync_run_id: alert.last_raised_run_id,
    resolved_at: instantOrNull(alert.resolved_at),
    resolved_sync_run_id: alert.resolved_run_id,
    resolution: alert.resolution,
    resolved_message: alert.resolved_message,
    resolved_details: alert.resolved_details,
  };
}
