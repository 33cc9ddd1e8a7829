/** Webhooks over the services; pings go out from here. */
import { rotateWebhookSecret, setPaused } from "../../configuration/operations.ts";
import { readWebhook } from "../../configuration/store.ts";
import { disableWebhook, enableWebhook } from "../../configuration/webhookSwitch.ts";
import { NotFound } from "../../domain/errors.ts";
import { pingWebhook } from "../../runtime/deliveries/ping.ts";
import { enableEndpoint } from "../../runtime/endpoints/endpointTransitions.ts";
import { openOutboundPools } from "../../security/outboundPools.ts";
import { redactUrl } from "../../security/redact.ts";
import { WEBHOOK_USER_AGENT } from "../../version.ts";
import type { Pinged, ShownWebhook, Wanted, WebhooksDesk } from "../desks.ts";
import { findWebhookNamed, findWorkspace, type Named } from "../findConfigured.ts";
import { findServices, type Reach, type ReachOptions, secretBoxOf, withDatabase, withLog } from "../reach.ts";

/** The desk. */
export async function localWebhooksDesk(options: ReachOptions): Promise<WebhooksDesk> {
  const reach = await findServices(options);
  return {
    list: ({ workspace }) =>
      withDatabase(reach, async ({ db }) =>
        listWebhooks(db, workspace === undefined ? undefined : (await findWorkspace(db, workspace)).id),
      ),
    // The log first: when it cannot be reached, nothing is done.
    enable: (wanted) =>
      withLog(reach, ({ log }) =>
        withDatabase(reach, async ({ db }) => {
          const { id } = await found(db, wanted);
          const switched = await enableWebhook(db, { id, actor: "egret webhook enable" });
          const { workspaceId, configVersion } = switched;
          const endpoint = await enableEndpoint(log, { workspaceId, id, configVersion });
          return { ...switched, outlastsApply: false, wasOut: endpoint.wasDisabled };
        }),
      ),
    disable: (wanted) =>
      withDatabase(reach, async ({ db }) => {
        const { id } = await found(db, wanted);
        const switched = await disableWebhook(db, { id, reason: "operator", actor: "egret webhook disable" });
        return { ...switched, outlastsApply: true, wasOut: false };
      }),
    setPaused: (wanted, paused) => {
      const box = secretBoxOf(reach);
      return withDatabase(reach, async ({ db }) => {
        const { id, name } = await found(db, wanted);
        const actor = `egret webhook ${paused ? "pause" : "resume"}`;
        return { name, isChanged: await setPaused({ db, box, kind: "webhook", id, actor }, paused) };
      });
    },
    ping: (wanted) => ping(reach, wanted),
    rotateSecret: (wanted, overlapMs) => {
      const box = secretBoxOf(reach);
      return withDatabase(reach, async ({ db }) => {
        const { id, name } = await found(db, wanted);
        const operation = { db, box, id, actor: "egret webhook rotate-secret" };
        return { name, ...(await rotateWebhookSecret(operation, overlapMs)) };
      });
    },
  };
}

/** By workspace and name. */
async function listWebhooks(db: Db, workspaceId: number | undefined): Promise<ShownWebhook[]> {
  const all = db
    .selectFrom("egret.webhooks as webhook")
    .leftJoin("egret_read.endpoints as seen", (join) =>
      join.onRef("seen.target_id", "=", "webhook.id").on("seen.target_kind", "=", "webhook"),
    )
    .select(["webhook.id", "webhook.name", "webhook.endpoint", "webhook.events", "webhook.enabled"])
    .select(["webhook.paused", "seen.state"])
    .orderBy("webhook.workspace_id")
    .orderBy("webhook.name");
  const wanted = workspaceId === undefined ? all : all.where("webhook.workspace_id", "=", workspaceId);
  const rows = await wanted.execute();
  return rows.map(({ id, name, endpoint, events, enabled, paused, state }) => ({
    id,
    name,
    endpoint: redactUrl(endpoint),
    events,
    enabled,
    paused,
    health: state ?? "healthy",
  }));
}

type Db = Parameters<typeof findWebhookNamed>[0];

async function found(db: Db, { name, workspace }: Wanted): Promise<Named> {
  return findWebhookNamed(db, await findWorkspace(db, workspace), name);
}

async function ping(reach: Reach, wanted: Wanted): Promise<Pinged> {
  const box = secretBoxOf(reach);
  const webhook = await withDatabase(reach, async ({ db }) => {
    const { id, name } = await found(db, wanted);
    const read = await readWebhook(db, box, id);
    if (read === null) throw new NotFound(`webhook ${name} was deleted meanwhile`);
    return read;
  });
  const pools = openOutboundPools(reach.outbound, { connections: 1 });
  try {
    const { answer, ...result } = await pingWebhook(webhook, { pools, userAgent: WEBHOOK_USER_AGENT });
    return {
      ...result,
      webhook: webhook.name,
      endpoint: redactUrl(webhook.endpoint),
      httpStatus: answer.kind === "response" ? answer.httpStatus : null,
      error: answer.kind === "failed" ? answer.error : null,
      durationMs: answer.durationMs,
      exchange: answer.exchange,
    };
  } finally {
    await pools.close();
  }
}
