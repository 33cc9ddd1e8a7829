/** What webhooks receive about an alert: which events tell of one, under which name, and with which payload. */
import type { AnyEvent } from "../../domain/event.ts";
import { alertPayload } from "../../domain/lifecycle.ts";
import { type AlertEvent, isAlertEvent } from "./alertActor.ts";

/** An event of an alert that subscribers are told of: not the silent end of one that nobody watches any more. */
export type ToldAlertEvent = AlertEvent & { data: { sync_run_id: number } };

/** True for an event of an alert that webhooks receive. */
export function isToldAlert(event: AnyEvent): event is ToldAlertEvent {
  return isAlertEvent(event) && event.data.sync_run_id !== null;
}

/** The name under which webhooks subscribe to it. */
export function alertLifecycle({ type }: ToldAlertEvent): "sync.alert.raised" | "sync.alert.resolved" {
  return type === "alert.raised" ? "sync.alert.raised" : "sync.alert.resolved";
}

/** The bytes posted: all of it stands in the event, so that they are the same whenever they are made (I9). */
export function alertBody(event: ToldAlertEvent): string {
  const { data } = event;
  return alertPayload({
    event: alertLifecycle(event),
    workspaceId: data.workspace_id,
    syncId: data.sync_id,
    runId: data.sync_run_id,
    episode: data.alert_instance_id,
    type: data.alert_type,
    message: data.message ?? "",
    details: data.details ?? "",
    followupUrl: data.followup_url ?? "",
  });
}

/** Id of the delivery of an alert's event to a webhook. The letter keeps it apart from those of runs. */
export function alertDeliveryId(event: ToldAlertEvent, webhookId: number): string {
  return `a${event.data.alert_id}-${event.version}-${webhookId}`;
}
