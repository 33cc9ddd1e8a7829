/** Follows a stream of events in order, in batches of what has come. */
import { setTimeout as delay } from "node:timers/promises";
import {
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  type OrderedConsumerOptions,
} from "@nats-io/jetstream";
import { toError } from "../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import { decodeEvent } from "./codec.ts";
import type { LogConnection } from "./connection.ts";
import type { StreamName } from "./topology.ts";

/** How long events gather after a batch that was not full, ms. */
export interface Gathering {
  mostMs: number;
  /** It ends sooner when nothing came for so long. */
  quietMs: number;
}

/** Where to begin: a sequence number, or only what comes from now on. */
export interface FollowOptions {
  fromSequence: number | "new";
  maxBatch: number;
  signal: AbortSignal;
  /** Only events on these subjects below `<prefix>.events.`; wildcards allowed. */
  filters?: readonly string[] | undefined;
  /** Given the events of a batch, how the next one gathers; not given, it is what has come. */
  gathering?: ((events: number) => Gathering) | undefined;
}

/** Short, since an ordered consumer that is reset stalls for one and a half times this; ms. */
const PULL_EXPIRES_MS = 2_000;

/**
 * Batches of events, oldest first, until `signal` aborts. A batch is what has come by the time it is asked for, so a
 * follower that keeps up sees each event at once, and one that is behind gets full batches.
 */
export async function* follow(
  { js, topology }: LogConnection,
  stream: StreamName,
  { fromSequence, maxBatch, signal, filters, gathering }: FollowOptions,
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
  const arrivals = new Arrivals(messages, maxBatch);
  const stop = () => arrivals.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    if (signal.aborted) return;
    for (;;) {
      const batch = await arrivals.take(maxBatch);
      if (batch === null) return;
      yield batch.map(({ data, seq }) => ({ event: decodeEvent(data, `${name} #${seq}`), sequence: seq }));
      if (gathering !== undefined && batch.length < maxBatch)
        await arrivals.gather(maxBatch, gathering(batch.length), signal);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    arrivals.stop();
    await messages.close();
    await consumer.delete().catch(() => undefined);
  }
}

/** Messages that have come and were not taken yet; takes no more from the server while it holds two batches. */
class Arrivals {
  readonly #messages: ConsumerMessages;
  readonly #most: number;
  #held: JsMsg[] = [];
  #error: Error | null = null;
  #isOver = false;
  #arrived = Promise.withResolvers<void>();
  #taken = Promise.withResolvers<void>();

  constructor(messages: ConsumerMessages, maxBatch: number) {
    this.#messages = messages;
    this.#most = 2 * maxBatch;
    void this.#collect();
  }

  stop(): void {
    this.#isOver = true;
    this.#messages.stop();
    this.#arrived.resolve();
    this.#taken.resolve();
  }

  /** What is there, as soon as anything is; null when the stream of messages is over. */
  async take(count: number): Promise<JsMsg[] | null> {
    while (this.#held.length === 0 && !this.#isOver) {
      this.#arrived = Promise.withResolvers<void>();
      await this.#arrived.promise;
    }
    if (this.#error !== null) throw this.#error;
    if (this.#isOver) return null;
    const batch = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    this.#taken.resolve();
    return batch;
  }

  /** Returns when so many are there, or the time to gather is over. */
  async gather(enough: number, { mostMs, quietMs }: Gathering, signal: AbortSignal): Promise<void> {
    const until = performance.now() + mostMs;
    for (let leftMs = mostMs; leftMs > 0 && this.#held.length < enough; leftMs = until - performance.now()) {
      const before = this.#held.length;
      await delay(Math.min(quietMs, leftMs), undefined, { signal }).catch(() => undefined);
      if (this.#held.length === before || signal.aborted) return;
    }
  }

  async #collect(): Promise<void> {
    try {
      for await (const message of this.#messages) {
        this.#held.push(message);
        this.#arrived.resolve();
        while (this.#held.length >= this.#most && !this.#isOver) {
          this.#taken = Promise.withResolvers<void>();
          await this.#taken.promise;
        }
      }
    } catch (error) {
      this.#error = toError(error);
    }
    this.#isOver = true;
    this.#arrived.resolve();
  }
}
