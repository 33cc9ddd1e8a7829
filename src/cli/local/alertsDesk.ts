/** Alerts over the read models and the log. */
import { getAlert, listAlerts } from "../../projections/alerts.ts";
import { isAlertEvent } from "../../runtime/alerts/alertActor.ts";
import type { AlertsDesk } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, withDatabase, withLog } from "../reach.ts";

/** The desk. */
export async function localAlertsDesk(options: ReachOptions): Promise<AlertsDesk> {
  const reach = await findServices(options);
  return {
    list: ({ sync, workspace, isOpen, limit }) =>
      withDatabase(reach, async ({ db }) => {
        if (sync === undefined && workspace === undefined) return listAlerts(db, { isOpen, limit });
        const found = await findWorkspace(db, workspace);
        if (sync === undefined) return listAlerts(db, { workspaceId: found.id, isOpen, limit });
        return listAlerts(db, { syncId: (await findSyncNamed(db, found, sync)).id, isOpen, limit });
      }),
    show: async (id) => {
      const alert = await withDatabase(reach, ({ db }) => getAlert(db, id));
      if (alert === null) return null;
      const { workspace_id: workspaceId, sync_id: syncId, configuration_id: alertId } = alert;
      const history = await withLog(reach, ({ log }) =>
        log.load({ kind: "alert", workspaceId, syncId, alertId }),
      );
      const events = history
        .map(({ event }) => event)
        .filter((event) => isAlertEvent(event) && event.data.alert_instance_id === id);
      return { alert, events };
    },
  };
}
