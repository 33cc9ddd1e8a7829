/** Turns each lifecycle event of a run, and of an alert on one, into one delivery per subscribed webhook. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import type { AnyEvent, StoredEvent } from "../../domain/event.ts";
import { isLifecycleEvent, type LifecycleEvent, lifecyclePayload } from "../../domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS, WEBHOOK_TIMEOUT_MS } from "../../domain/retryPolicy.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import { CONSUMERS } from "../../log/topology.ts";
import {
  alertBody,
  alertDeliveryId,
  alertLifecycle,
  isToldAlert,
  type ToldAlertEvent,
} from "../alerts/alertWebhook.ts";
import { NO_TRACING, type Tracing } from "../telemetry/tracing.ts";
import { startWorkQueue, type WorkQueue } from "../workQueue.ts";
import { type PendingData, sha256Hex } from "./deliveryActor.ts";
import type { DeliveryIntake } from "./deliveryIntake.ts";
import { createTraced } from "./tracedIntake.ts";

/** Who wants an event: ids of the enabled webhooks that subscribed before it was produced (behaviour.md 6.2). */
export interface Subscriptions {
  webhooksFor(wanted: { workspaceId: number; event: LifecycleEvent; producedAt: Date }): Promise<number[]>;
}

export interface NotifierOptions {
  connection: LogConnection;
  intake: DeliveryIntake;
  subscriptions: Subscriptions;
  logger: Logger;
  tracing?: Tracing;
}

/** A lifecycle event of a run, or of an alert on one, which webhooks can receive. */
export type RunLifecycleEvent = Extract<AnyEvent, { type: LifecycleEvent }> | ToldAlertEvent;

/** Events under way at once: their subscriptions are read together. */
const EVENTS_AT_ONCE = 32;

/** Starts the notifier. Subscriptions answer in the order of the events, so that first attempts start in that order too. */
export function startNotifier(options: NotifierOptions): WorkQueue {
  const { connection, logger } = options;
  return startWorkQueue({
    connection,
    stream: connection.topology.eventStreams.runs,
    consumer: CONSUMERS.notifier,
    concurrency: () => EVENTS_AT_ONCE,
    logger,
    handle: async (message: JsMsg) => {
      const event = decodeEvent(message.data, message.subject);
      await notify(options, { event, sequence: message.seq });
      return { kind: "done" };
    },
  });
}

/** Creates the deliveries of one event; doing it twice creates none twice. Returns their ids. */
export async function notify(
  {
    intake,
    subscriptions,
    tracing = NO_TRACING,
  }: Pick<NotifierOptions, "intake" | "subscriptions" | "tracing">,
  { event }: StoredEvent,
): Promise<string[]> {
  if (!isRunLifecycleEvent(event)) return [];
  const { data, time } = event;
  const wanted = {
    workspaceId: data.workspace_id,
    event: lifecycleName(event),
    producedAt: new Date(time),
  };
  const webhookIds = await subscriptions.webhooksFor(wanted);
  const deliveries = webhookIds.map((webhookId) => lifecycleDelivery(event, webhookId));
  await Promise.all(
    deliveries.map((delivery) => createTraced({ intake, tracing }, event.traceparent, delivery)),
  );
  return deliveries.map((delivery) => delivery.delivery_id);
}

/** Id of the delivery of a run's event to a webhook: run, place of the event in it, webhook. The same each time (I5). */
export function lifecycleDeliveryId(parts: { runId: number; version: number; webhookId: number }): string {
  return `${parts.runId}-${parts.version}-${parts.webhookId}`;
}

/** The name under which webhooks subscribe to an event. */
export function lifecycleName(event: RunLifecycleEvent): LifecycleEvent {
  return isToldAlert(event) ? alertLifecycle(event) : event.type;
}

/** True for an event of a run, or of an alert on one, that webhooks can receive. */
export function isRunLifecycleEvent(event: AnyEvent): event is RunLifecycleEvent {
  if (isToldAlert(event)) return true;
  return isLifecycleEvent(event.type) && "sync_run_id" in event.data && event.data.sync_run_id !== null;
}

/** The delivery of one event to one webhook: the same each time it is made, payload bytes included (I9). */
export function lifecycleDelivery(event: RunLifecycleEvent, webhookId: number): PendingData {
  const { workspace_id, sync_id, sync_run_id } = event.data;
  const payload = isToldAlert(event)
    ? alertBody(event)
    : lifecyclePayload({
        event: event.type,
        workspaceId: workspace_id,
        syncId: sync_id,
        runId: sync_run_id,
        status: event.type === "sync.completed" ? event.data.status : undefined,
      });
  return {
    workspace_id,
    target_kind: "webhook",
    target_id: webhookId,
    delivery_id: isToldAlert(event)
      ? alertDeliveryId(event, webhookId)
      : lifecycleDeliveryId({ runId: sync_run_id, version: event.version, webhookId }),
    sync_id,
    sync_run_id,
    fact: "created",
    event: lifecycleName(event),
    event_id: event.id,
    retry_delays_ms: [...WEBHOOK_RETRY_DELAYS_MS],
    timeout_ms: WEBHOOK_TIMEOUT_MS,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
  };
}
