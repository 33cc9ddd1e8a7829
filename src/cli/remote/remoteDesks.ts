/** The desks over the API of a server elsewhere. */
import type { Desks } from "../desks.ts";
import { remoteAlertsDesk } from "./alertsDesk.ts";
import { remoteCallsDesk } from "./callsDesk.ts";
import { remoteDeliveriesDesk } from "./deliveriesDesk.ts";
import { remoteDestinationsDesk } from "./destinationsDesk.ts";
import type { Remote } from "./findRemote.ts";
import { openRemote } from "./openRemote.ts";
import { remotePreviewsDesk } from "./previewsDesk.ts";
import { remoteRecordsDesk } from "./recordsDesk.ts";
import { remoteReplaysDesk } from "./replaysDesk.ts";
import { remoteRunsDesk } from "./runsDesk.ts";
import { remoteSyncsDesk } from "./syncsDesk.ts";
import { remoteTrialsDesk } from "./trialsDesk.ts";
import { remoteWebhooksDesk } from "./webhooksDesk.ts";

/** How to get each desk. */
export type RemoteDesks = { [A in keyof Desks]: () => Desks[A] };

/** The desks of a server. */
export function remoteDesks(remote: Remote): RemoteDesks {
  const client = openRemote(remote);
  return {
    syncs: () => remoteSyncsDesk(client),
    runs: () => remoteRunsDesk(client),
    trials: () => remoteTrialsDesk(client),
    previews: () => remotePreviewsDesk(client),
    records: () => remoteRecordsDesk(client),
    calls: () => remoteCallsDesk(client),
    alerts: () => remoteAlertsDesk(client),
    deliveries: () => remoteDeliveriesDesk(client),
    replays: () => remoteReplaysDesk(client),
    webhooks: () => remoteWebhooksDesk(client),
    destinations: () => remoteDestinationsDesk(client),
  };
}
