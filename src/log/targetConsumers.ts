/**
 * One durable consumer per target of deliveries. A target that is slow or dead holds up its own queue and no other
 * (I7), and its backlog stays in the stream, where it costs nothing (I10).
 */
import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream";
import type { LogConnection } from "./connection.ts";
import { ACK_WAIT_MS } from "./topology.ts";

/** Where deliveries go: a webhook or a destination, by its id. */
export interface TargetRef {
  kind: "webhook" | "destination";
  id: number;
}

/** Retries of one target that may sleep at one time; what comes after them waits in the stream. */
const MAX_SLEEPING = 10_000;
const NANOS_PER_MS = 1_000_000;
const NAME = /^delivery_(webhook|destination)_(\d+)$/;

/** Durable name of a target's consumer. */
export function targetConsumerName({ kind, id }: TargetRef): string {
  return `delivery_${kind}_${id}`;
}

/** The target of a durable name, or null when it is another consumer. */
export function parseTargetConsumer(name: string): TargetRef | null {
  const [, kind, id] = NAME.exec(name) ?? [];
  return kind === undefined ? null : { kind: kind as TargetRef["kind"], id: Number(id) };
}

/** Makes the consumer if it is not there; it begins with the first delivery that the log still holds. */
export async function ensureTargetConsumer(
  { jsm, topology }: LogConnection,
  target: TargetRef,
): Promise<void> {
  await jsm.consumers.add(topology.eventStreams.deliveries, {
    durable_name: targetConsumerName(target),
    filter_subject: topology.events(`*.delivery.${target.kind}.${target.id}.*.pending`),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
    max_deliver: -1,
    max_ack_pending: MAX_SLEEPING,
  });
}

/** Every target that has a consumer. */
export async function listTargets({ jsm, topology }: LogConnection): Promise<TargetRef[]> {
  const targets: TargetRef[] = [];
  for await (const { name } of jsm.consumers.list(topology.eventStreams.deliveries)) {
    const target = parseTargetConsumer(name);
    if (target !== null) targets.push(target);
  }
  return targets;
}

/** Removes the consumer of a target that is gone, once nothing waits for it any more; true when it was removed. */
export async function retireTargetConsumer(
  { jsm, topology }: LogConnection,
  target: TargetRef,
): Promise<boolean> {
  const stream = topology.eventStreams.deliveries;
  const { num_pending, num_ack_pending } = await jsm.consumers.info(stream, targetConsumerName(target));
  if (num_pending + num_ack_pending > 0) return false;
  return jsm.consumers.delete(stream, targetConsumerName(target));
}
