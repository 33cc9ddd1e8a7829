/** Webhooks over the API; pings go out from the server. */
import { type Client, each, type Schemas } from "../../client/client.ts";
import { redactUrl } from "../../security/redact.ts";
import type { ShownWebhook, SwitchedWebhook, Wanted, WebhooksDesk } from "../desks.ts";
import { exchangeOf } from "./exchange.ts";
import { findWebhook } from "./findNamed.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace } from "./openRemote.ts";

/** The desk. */
export function remoteWebhooksDesk(client: Client): WebhooksDesk {
  const switchTo = async (wanted: Wanted, enabled: boolean): Promise<SwitchedWebhook> => {
    const before = await findWebhook(client, wanted);
    const { id, name } = before;
    // Also where it is enabled already: its endpoint then counts as healthy again.
    await client.updateWebhook({ path: { id }, body: { enabled } });
    const wasOut = before.health.state === "disabled";
    const isChanged = before.enabled !== enabled;
    return { name, isChanged, wasDisabled: disabledBefore(before), outlastsApply: !enabled, wasOut };
  };
  return {
    list: async ({ workspace }) => {
      await checkWorkspace(client, workspace);
      const webhooks: ShownWebhook[] = [];
      for await (const { id, name, endpoint, events, enabled, paused, health } of each(client.listWebhooks)) {
        webhooks.push({
          id,
          name,
          endpoint: redactUrl(endpoint),
          events,
          enabled,
          paused,
          health: health.state,
        });
      }
      return webhooks.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    enable: (wanted) => switchTo(wanted, true),
    disable: (wanted) => switchTo(wanted, false),
    setPaused: async (wanted, paused) => {
      const { id, name, paused: wasPaused } = await findWebhook(client, wanted);
      await client.updateWebhook({ path: { id }, body: { paused } });
      return { name, isChanged: paused !== wasPaused };
    },
    ping: async (wanted) => {
      const { id, name, endpoint } = await findWebhook(client, wanted);
      const { data: ping } = await client.pingWebhook({ path: { id } });
      return {
        webhook: name,
        endpoint: redactUrl(endpoint),
        isAccepted: ping.accepted,
        eventId: ping.event_id,
        httpStatus: ping.http_status,
        error: ping.error,
        durationMs: ping.duration_ms,
        exchange: exchangeOf(ping),
      };
    },
    rotateSecret: async (wanted, overlapMs) => {
      const { id, name } = await findWebhook(client, wanted);
      const body = { overlap_seconds: Math.ceil(overlapMs / 1_000) };
      const { data } = await client.rotateWebhookSecret({ path: { id }, body });
      return { name, secret: data.secret, previousUntil: dateOrNull(data.previous_secret_until) };
    },
  };
}

function disabledBefore({
  disabled_reason,
  disabled_at,
}: Schemas["Webhook"]): SwitchedWebhook["wasDisabled"] {
  if (disabled_reason === null || disabled_at === null) return null;
  return { reason: disabled_reason, at: new Date(disabled_at) };
}
