/** Follows a stream of events in order, in batches as large as what is there allows. */
import { DeliverPolicy, type OrderedConsumerOptions } from "@nats-io/jetstream";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import { decodeEvent } from "./codec.ts";
import type { LogConnection } from "./connection.ts";
import type { StreamName } from "./topology.ts";

/** Where to begin: a sequence number, or only what comes from now on. */
export interface FollowOptions {
  fromSequence: number | "new";
  maxBatch: number;
  signal: AbortSignal;
  /** Only events on these subjects below `<prefix>.events.`; wildcards allowed. */
  filters?: readonly string[] | undefined;
}

/** Short, since an ordered consumer that is reset stalls for one and a half times this; ms. */
const PULL_EXPIRES_MS = 2_000;

/**
 * Batches of events, oldest first, until `signal` aborts. A batch ends when it is full or when the stream holds
 * nothing more for now, so a follower that keeps up sees each event at once.
 */
export async function* follow(
  { js, topology }: LogConnection,
  stream: StreamName,
  { fromSequence, maxBatch, signal, filters }: FollowOptions,
): AsyncGenerator<StoredEvent<AnyEvent>[], void, void> {
  const name = topology.eventStreams[stream];
  const start: Partial<OrderedConsumerOptions> =
    fromSequence === "new"
      ? { deliver_policy: DeliverPolicy.New }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, fromSequence) };
  const consumer = await js.consumers.get(name, {
    ...start,
    ...(filters === undefined ? {} : { filter_subjects: filters.map((filter) => topology.events(filter)) }),
  });
  const messages = await consumer.consume({ max_messages: maxBatch, expires: PULL_EXPIRES_MS });
  const stop = () => messages.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    if (signal.aborted) return;
    let batch: StoredEvent[] = [];
    for await (const message of messages) {
      batch.push({ event: decodeEvent(message.data, `${name} #${message.seq}`), sequence: message.seq });
      if (batch.length < maxBatch && message.info.pending > 0) continue;
      yield batch;
      batch = [];
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await messages.close();
    await consumer.delete().catch(() => undefined);
  }
}
