/** Which webhooks there were, and what they were subscribed to, as the configuration events of the log tell it. */
import type { AnyEvent, EventData } from "../domain/event.ts";
import { loadFirst } from "../log/load.ts";
import type { OpenLog } from "./reach.ts";

/** A webhook that the log knows, with its configuration events, oldest first. */
export interface Subscriber {
  id: number;
  name: string;
  changes: readonly AnyEvent[];
}

const MOST_WEBHOOKS = 1_000;

/** Every webhook that the workspace ever had. */
export async function subscribersOf(
  { connection, log }: OpenLog,
  workspaceId: number,
): Promise<Subscriber[]> {
  const filter = log.topology.events(`${workspaceId}.config.webhook.*.created`);
  const stream = log.topology.eventStreams.runs;
  const created = await loadFirst(connection.jsm, stream, { filter, count: MOST_WEBHOOKS });
  return Promise.all(
    created.map(async ({ event }) => {
      const { object_id: id, name } = event.data as EventData<"config.created">;
      const history = await log.load({ kind: "config", workspaceId, objectKind: "webhook", objectId: id });
      return { id, name, changes: history.map((stored) => stored.event) };
    }),
  );
}

/**
 * True when the webhook must have got this event: it was there before, enabled and subscribed, and was not changed
 * since, so that there is no doubt about what the notifier saw when it looked.
 */
export function mustReceive({ changes }: Subscriber, event: AnyEvent): boolean {
  const last = changes.at(-1);
  if (last === undefined || last.type === "config.deleted" || last.time >= event.time) return false;
  const { settings } = last.data as EventData<"config.updated">;
  const events = settings["events"];
  return settings["enabled"] === true && Array.isArray(events) && events.includes(event.type);
}
