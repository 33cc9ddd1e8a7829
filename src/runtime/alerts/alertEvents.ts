/** The events of one alert, picked out of the history of the configuration that watches. */
import type { EventLog } from "../../log/eventLog.ts";
import type { Alert } from "../../projections/alerts.ts";
import { type AlertEvent, isAlertEvent } from "./alertActor.ts";

/**
 * From its first raise to its resolution, oldest first.
 * @throws Unavailable when the log cannot be read.
 */
export async function alertEvents(
  log: Pick<EventLog, "load">,
  {
    id,
    workspace_id: workspaceId,
    sync_id: syncId,
    configuration_id: alertId,
  }: Pick<Alert, "id" | "workspace_id" | "sync_id" | "configuration_id">,
): Promise<AlertEvent[]> {
  const history = await log.load({ kind: "alert", workspaceId, syncId, alertId });
  return history
    .map(({ event }) => event)
    .filter(isAlertEvent)
    .filter(({ data }) => data.alert_instance_id === id);
}
