/** Deliveries over the API, which lists them by their target. */
import { type Client, each, type Schemas } from "../../client/client.ts";
import { NotFound } from "../../domain/errors.ts";
import { placeText } from "../../projections/deliverySearch.ts";
import type { DeliveriesDesk, DeliverySearch, ShownDelivery, ShownDeliveryDetail } from "../desks.ts";
import { exchangeOf } from "./exchange.ts";
import { findDestination, findSync, findWebhook, firstOf } from "./findNamed.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace, orNull } from "./openRemote.ts";

/** The desk. */
export function remoteDeliveriesDesk(client: Client): DeliveriesDesk {
  return {
    list: (search) => list(client, search),
    show: async (id) => detailOf(await findDelivery(client, id)),
    redeliver: async (id) => {
      const answer = await orNull(client.redeliverWebhookDelivery({ path: { did: id } }));
      if (answer !== null) return { state: answer.data.state };
      throw new NotFound(
        `there is no delivery ${JSON.stringify(id)} to a webhook; batches are not sent again: trigger their sync instead`,
      );
    },
  };
}

interface Target {
  kind: "webhook" | "destination";
  id: number;
  name: string;
}

async function list(
  client: Client,
  search: DeliverySearch,
): Promise<{ rows: ShownDelivery[]; names: ReadonlyMap<string, string> }> {
  const { sync, workspace, state, run, status, event, since, until, after, limit } = search;
  const syncId = sync === undefined ? undefined : (await findSync(client, { name: sync, workspace })).id;
  const targets = await targetsOf(client, search);
  const query = {
    state,
    sync_id: syncId,
    sync_run_id: run,
    http_status: status,
    since: since?.toISOString(),
    until: until?.toISOString(),
    // A place in time is one in the list of every target.
    cursor: after === undefined ? undefined : placeText(after),
    per_page: Math.min(limit, 100),
  };
  const found: ShownDelivery[] = [];
  for (const { kind, id } of targets) {
    const path = { id };
    const rows =
      kind === "webhook"
        ? each(client.listWebhookDeliveries, { path, query: { ...query, event } })
        : each(client.listDestinationDeliveries, { path, query });
    found.push(...(await firstOf(rows, limit)).map(shownDelivery));
  }
  const rows = found.sort(newestFirst).slice(0, limit);
  return { rows, names: new Map(targets.map(({ kind, id, name }) => [`${kind}/${id}`, name])) };
}

function newestFirst(a: ShownDelivery, b: ShownDelivery): number {
  return b.created_at.getTime() - a.created_at.getTime() || (a.id < b.id ? 1 : -1);
}

/** Batches have no event, so with one only webhooks are asked. */
async function targetsOf(
  client: Client,
  { webhook, destination, event, workspace }: DeliverySearch,
): Promise<Target[]> {
  if (webhook !== undefined) {
    const { id, name } = await findWebhook(client, { name: webhook, workspace });
    return [{ kind: "webhook", id, name }];
  }
  if (destination !== undefined) {
    if (event !== undefined) return [];
    const { id, name } = await findDestination(client, { name: destination, workspace });
    return [{ kind: "destination", id, name }];
  }
  await checkWorkspace(client, workspace);
  const targets: Target[] = [];
  for await (const { id, name } of each(client.listWebhooks)) targets.push({ kind: "webhook", id, name });
  if (event !== undefined) return targets;
  for await (const { id, name } of each(client.listDestinations))
    targets.push({ kind: "destination", id, name });
  return targets;
}

/** Of a batch the destination is not known: each is asked. */
async function findDelivery(client: Client, did: string): Promise<Schemas["DetailedDelivery"]> {
  const toWebhook = await orNull(client.getWebhookDelivery({ path: { did } }));
  if (toWebhook !== null) return toWebhook.data;
  for await (const { id } of each(client.listDestinations)) {
    const batch = await orNull(client.getDestinationDelivery({ path: { id, did } }));
    if (batch !== null) return batch.data;
  }
  throw new NotFound(
    `there is no delivery ${JSON.stringify(did)}; \`egret deliveries list\` shows the latest, as far as they are kept`,
  );
}

/** A delivery in the form of commands. */
export function shownDelivery(delivery: Omit<Schemas["Delivery"], "attempts">): ShownDelivery {
  const { webhook_id: webhookId, destination_id: destinationId } = delivery;
  return {
    id: delivery.id,
    target_kind: webhookId === null ? "destination" : "webhook",
    target_id: webhookId ?? destinationId ?? 0,
    sync_id: delivery.sync_id,
    run_id: delivery.sync_run_id,
    event: delivery.event,
    event_id: delivery.event_id,
    records: delivery.records,
    payload: delivery.payload,
    payload_sha256: delivery.payload_sha256,
    state: delivery.state,
    attempts: delivery.attempt_count,
    http_status: delivery.http_status,
    error: delivery.error,
    death_reason: delivery.death_reason,
    redeliveries: delivery.redeliveries,
    next_attempt_at: dateOrNull(delivery.next_attempt_at),
    created_at: new Date(delivery.created_at),
    updated_at: new Date(delivery.updated_at),
    ended_at: dateOrNull(delivery.ended_at),
  };
}

function detailOf(delivery: Schemas["DetailedDelivery"]): ShownDeliveryDetail {
  const attemptList = delivery.attempts.map(
    ({ n, started_at, duration_ms, http_status, error, exchanges }) => ({
      attempt: n,
      started_at: new Date(started_at),
      duration_ms,
      http_status,
      error,
      exchanges: exchanges.map((each) => ({ exchange: exchangeOf(each) })),
    }),
  );
  return { ...shownDelivery(delivery), attemptList };
}
