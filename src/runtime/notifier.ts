/** Turns each lifecycle event of a run into one delivery per subscribed webhook. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import type { StoredEvent } from "../domain/event.ts";
import { isLifecycleEvent, type LifecycleEvent, lifecyclePayload } from "../domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS, WEBHOOK_TIMEOUT_MS } from "../domain/retryPolicy.ts";
import { decodeEvent } from "../log/codec.ts";
import type { LogConnection } from "../log/connection.ts";
import { CONSUMERS } from "../log/topology.ts";
import { type PendingData, sha256Hex } from "./deliveryActor.ts";
import type { DeliveryIntake } from "./deliveryIntake.ts";
import { startWorkQueue, type WorkQueue } from "./workQueue.ts";

/** Who wants an event: ids of the enabled webhooks that subscribed before it was produced (behaviour.md 6.2). */
export interface Subscriptions {
  webhooksFor(wanted: { workspaceId: number; event: LifecycleEvent; producedAt: Date }): Promise<number[]>;
}

export interface NotifierOptions {
  connection: LogConnection;
  intake: DeliveryIntake;
  subscriptions: Subscriptions;
  logger: Logger;
}

/** Starts the notifier; events are taken one after the other, so that first attempts start in event order. */
export function startNotifier({ connection, intake, subscriptions, logger }: NotifierOptions): WorkQueue {
  return startWorkQueue({
    connection,
    stream: connection.topology.eventStreams.runs,
    consumer: CONSUMERS.notifier,
    concurrency: () => 1,
    logger,
    handle: async (message: JsMsg) => {
      const event = decodeEvent(message.data, message.subject);
      await notify({ intake, subscriptions }, { event, sequence: message.seq });
      return { kind: "done" };
    },
  });
}

/** Creates the deliveries of one event; doing it twice creates none twice. Returns their ids. */
export async function notify(
  { intake, subscriptions }: Pick<NotifierOptions, "intake" | "subscriptions">,
  { event }: StoredEvent,
): Promise<string[]> {
  const { type } = event;
  if (!isLifecycleEvent(type) || !("sync_run_id" in event.data) || event.data.sync_run_id === null) return [];
  const { workspace_id, sync_id, sync_run_id } = event.data as PendingData;
  const wanted = { workspaceId: workspace_id, event: type, producedAt: new Date(event.time) };
  const webhookIds = await subscriptions.webhooksFor(wanted);
  const payload = lifecyclePayload({
    event: type,
    workspaceId: workspace_id,
    syncId: sync_id,
    runId: sync_run_id,
    status: event.type === "sync.completed" ? event.data.status : undefined,
  });
  const deliveries = webhookIds.map(
    (webhookId): PendingData => ({
      workspace_id,
      target_kind: "webhook",
      target_id: webhookId,
      delivery_id: lifecycleDeliveryId({ runId: sync_run_id, version: event.version, webhookId }),
      sync_id,
      sync_run_id,
      fact: "created",
      event: type,
      event_id: event.id,
      retry_delays_ms: [...WEBHOOK_RETRY_DELAYS_MS],
      timeout_ms: WEBHOOK_TIMEOUT_MS,
      records: 0,
      payload,
      payload_sha256: sha256Hex(payload),
    }),
  );
  await Promise.all(deliveries.map((delivery) => intake.create(delivery)));
  return deliveries.map((delivery) => delivery.delivery_id);
}

/** Id of the delivery of a run's event to a webhook: run, place of the event in it, webhook. The same each time (I5). */
export function lifecycleDeliveryId(parts: { runId: number; version: number; webhookId: number }): string {
  return `${parts.runId}-${parts.version}-${parts.webhookId}`;
}
