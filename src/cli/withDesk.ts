/** Gives a command the desk of its area: over the services, or over the API of the server that is meant. */
import type { DeskOptions } from "./deskOptions.ts";
import type { Desks } from "./desks.ts";
import type { ReachOptions } from "./reach.ts";
import { findRemote } from "./remote/findRemote.ts";
import type { RemoteDesks } from "./remote/remoteDesks.ts";

type Local = { [A in keyof Desks]: (options: ReachOptions) => Promise<Desks[A]> };

/** Loaded when they are needed: a desk over the services brings drivers along. */
const LOCAL: Local = {
  syncs: async (options) => (await import("./local/syncsDesk.ts")).localSyncsDesk(options),
  runs: async (options) => (await import("./local/runsDesk.ts")).localRunsDesk(options),
  trials: async (options) => (await import("./local/trialsDesk.ts")).localTrialsDesk(options),
  previews: async (options) => (await import("./local/previewsDesk.ts")).localPreviewsDesk(options),
  records: async (options) => (await import("./local/recordsDesk.ts")).localRecordsDesk(options),
  calls: async (options) => (await import("./local/callsDesk.ts")).localCallsDesk(options),
  alerts: async (options) => (await import("./local/alertsDesk.ts")).localAlertsDesk(options),
  deliveries: async (options) => (await import("./local/deliveriesDesk.ts")).localDeliveriesDesk(options),
  replays: async (options) => (await import("./local/replaysDesk.ts")).localReplaysDesk(options),
  webhooks: async (options) => (await import("./local/webhooksDesk.ts")).localWebhooksDesk(options),
  destinations: async (options) =>
    (await import("./local/destinationsDesk.ts")).localDestinationsDesk(options),
};

/** @throws NotConfigured when nothing says where Egret is. */
export async function withDesk<A extends keyof Desks, T>(
  area: A,
  options: DeskOptions,
  use: (desk: Desks[A]) => Promise<T>,
): Promise<T> {
  const remote = await findRemote(options);
  if (remote === null) return use(await LOCAL[area](options));
  const { remoteDesks } = await import("./remote/remoteDesks.ts");
  const desks: RemoteDesks = remoteDesks(remote);
  return use(desks[area]());
}
