/** Alerts over the API. */
import { type Client, each, type Schemas } from "../../client/client.ts";
import type { AlertsDesk, ShownAlert } from "../desks.ts";
import { eventsOf } from "./eventsOf.ts";
import { findSync, firstOf } from "./findNamed.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace, orNull } from "./openRemote.ts";

/** The desk. */
export function remoteAlertsDesk(client: Client): AlertsDesk {
  return {
    list: async ({ sync: name, workspace, isOpen, limit }) => {
      const sync = name === undefined ? undefined : await findSync(client, { name, workspace });
      if (sync === undefined) await checkWorkspace(client, workspace);
      const query = {
        sync_id: sync?.id,
        status: isOpen ? "open" : undefined,
        per_page: Math.min(limit, 100),
      } as const;
      return (await firstOf(each(client.listAlerts, { query }), limit)).map(shownAlert);
    },
    show: async (id) => {
      const answer = await orNull(client.getAlert({ path: { id } }));
      if (answer === null) return null;
      const events = await eventsOf(client.listAlertEvents, { path: { id } });
      return { alert: shownAlert(answer.data), events };
    },
  };
}

function shownAlert(alert: Schemas["Alert"]): ShownAlert {
  return {
    id: alert.id,
    configuration_id: alert.alert_configuration_id,
    sync_id: alert.sync_id,
    sync_name: alert.sync_name,
    type: alert.type,
    state: alert.status,
    raised_run_id: alert.raised_sync_run_id,
    last_raised_run_id: alert.last_raised_sync_run_id,
    resolved_run_id: alert.resolved_sync_run_id,
    times_raised: alert.times_raised,
    message: alert.message,
    details: alert.details,
    followup_url: alert.followup_url,
    resolution: RESOLUTIONS.find((word) => word === alert.resolution) ?? null,
    resolved_message: alert.resolved_message,
    resolved_details: alert.resolved_details,
    raised_at: new Date(alert.raised_at),
    last_raised_at: new Date(alert.last_raised_at),
    resolved_at: dateOrNull(alert.resolved_at),
  };
}

const RESOLUTIONS = ["recovered", "moment", "configuration_deleted", "sync_deleted"] as const;
