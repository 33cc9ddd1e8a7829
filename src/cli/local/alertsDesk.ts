/** Alerts over the read models and the log. */
import { getAlert, listAlerts } from "../../projections/alerts.ts";
import { alertEvents } from "../../runtime/alerts/alertEvents.ts";
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
      return { alert, events: await withLog(reach, ({ log }) => alertEvents(log, alert)) };
    },
  };
}
