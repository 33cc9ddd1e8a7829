/**
 * Takes work items from a durable consumer that several processes share, never more than can be worked on,
 * and renews what is held, so that only a dead worker's items go to another.
 */
import { type Consumer, type JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { toError } from "../domain/errors.ts";
import type { LogConnection } from "../log/connection.ts";
import { RENEW_EVERY_MS } from "../log/topology.ts";
import { atTurnEnd } from "../log/turnEnd.ts";

/** What became of a work item: done, to come back after a wait, or never to come back. */
export type WorkResult =
  | { kind: "done" }
  | { kind: "again"; delayMs: number }
  | { kind: "refused"; reason: string };

export interface WorkQueueOptions {
  connection: LogConnection;
  stream: string;
  consumer: string;
  /** Items held at once; asked for again before each pull. */
  concurrency(): number;
  logger: Logger;
  /** Must be safe to call twice for one item. A throw brings the item back after a growing wait. */
  handle(message: JsMsg): Promise<WorkResult>;
}

/** A running queue. */
export interface WorkQueue {
  /** Takes no new item, waits for those being worked on (I13). */
  close(): Promise<void>;
  /** Looks again how much it may hold: that has changed. */
  wake(): void;
}

/** How long a pull waits for items; one that a restarted server forgot costs at most this much delay. */
const PULL_EXPIRES_MS = 5_000;
const RECOVERY_PAUSE_MS = 500;
/** A pull costs two writes to the server, whose time is that of twenty items: so long small ones are gathered, ms. */
const GATHER_MS = 20;
const MAX_ERROR_DELAY_MS = 15_000;

/** A message that is worked on; `message` is the one with the newest receipt. */
interface Held {
  message: JsMsg;
  work: Promise<void>;
}

const DONE = Promise.resolve();

class Queue implements WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #held = new Map<number, Held>();
  #renewal: NodeJS.Timeout | null = null;
  readonly #stop = new AbortController();
  readonly #pulls = new Set<Promise<void>>();
  #credits = 0;
  #wake: () => void = () => undefined;
  readonly #loop: Promise<void>;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#loop;
    await Promise.all(this.#pulls);
    while (this.#held.size > 0) await Promise.all([...this.#held.values()].map(({ work }) => work));
    // The last receipts go out at the end of the turn.
    await new Promise((resolve) => setImmediate(resolve));
    this.#stopRenewing();
  }

  wake(): void {
    this.#wake();
  }

  /** Keeps held items plus asked-for items at or below the concurrency: nothing waits in a buffer unrenewed. */
  async #run(): Promise<void> {
    const { connection, stream, consumer: name, logger } = this.#options;
    let consumer: Consumer | null = null;
    let isGathered = false;
    while (!this.#stop.signal.aborted) {
      if (this.#mayPull()) {
        // Much is held: what comes free one by one is asked for together.
        if (!this.#isPullLarge() && !isGathered) {
          isGathered = true;
          await delay(GATHER_MS);
          continue;
        }
        isGathered = false;
        try {
          consumer ??= await connection.js.consumers.get(stream, name);
          this.#pull(consumer, this.#free());
          continue;
        } catch (error) {
          consumer = null;
          logger.warn({ err: toError(error), consumer: name }, "worker.waiting_for_nats");
          await this.#pause(RECOVERY_PAUSE_MS);
        }
      }
      await this.#pause(PULL_EXPIRES_MS);
    }
  }

  #free(): number {
    return this.#options.concurrency() - this.#held.size - this.#credits;
  }

  #isPullLarge(): boolean {
    return this.#free() * 4 >= this.#options.concurrency();
  }

  #mayPull(): boolean {
    return this.#free() > 0 && (this.#credits === 0 || this.#isPullLarge());
  }

  #pull(consumer: Consumer, count: number): void {
    this.#credits += count;
    let left = count;
    const pull = async () => {
      let failed = false;
      try {
        const messages = await consumer.fetch({ max_messages: count, expires: PULL_EXPIRES_MS });
        const stop = () => messages.stop();
        if (this.#stop.signal.aborted) stop();
        this.#stop.signal.addEventListener("abort", stop, { once: true });
        for await (const message of messages) {
          left -= 1;
          this.#credits -= 1;
          if (this.#stop.signal.aborted) message.nak();
          else this.#take(message);
        }
        this.#stop.signal.removeEventListener("abort", stop);
      } catch (error) {
        failed = true;
        this.#options.logger.debug(
          { err: toError(error), consumer: this.#options.consumer },
          "worker.pull_failed",
        );
      }
      // Credits of a failed pull come back after a pause, or a server that is down would be asked without end.
      if (failed && !this.#stop.signal.aborted) await delay(RECOVERY_PAUSE_MS);
      this.#credits -= left;
      this.#wake();
    };
    const running = pull();
    this.#pulls.add(running);
    void running.finally(() => this.#pulls.delete(running));
  }

  #take(message: JsMsg): void {
    const known = this.#held.get(message.seq);
    if (known !== undefined) {
      // The server gave us up while we were cut off, and asks us again: one worker, one hold, the newer receipt.
      known.message = message;
      return;
    }
    const held: Held = { message, work: DONE };
    this.#held.set(message.seq, held);
    held.work = this.#work(held);
    this.#renewal ??= setInterval(() => this.#renew(), RENEW_EVERY_MS);
  }

  async #work(held: Held): Promise<void> {
    const { handle, logger, consumer } = this.#options;
    const { seq } = held.message;
    try {
      const result = await handle(held.message);
      const last = held.message;
      if (result.kind === "done") atTurnEnd(() => last.ack());
      else if (result.kind === "again") {
        const delayMs = Math.max(0, Math.ceil(result.delayMs));
        atTurnEnd(() => last.nak(delayMs));
      } else last.term(result.reason);
    } catch (error) {
      const { message } = held;
      const delayMs = Math.min(250 * 2 ** Math.min(message.info.deliveryCount, 10), MAX_ERROR_DELAY_MS);
      logger.warn({ err: toError(error), consumer, subject: message.subject, delayMs }, "worker.item_failed");
      message.nak(delayMs);
    } finally {
      this.#held.delete(seq);
      // The loop is not woken thousands of times a second only to find that it is too early to ask for more.
      if (this.#mayPull()) this.#wake();
    }
  }

  #stopRenewing(): void {
    if (this.#renewal !== null) clearInterval(this.#renewal);
    this.#renewal = null;
  }

  #renew(): void {
    // An idle process is not woken for nothing.
    if (this.#held.size === 0) this.#stopRenewing();
    for (const { message } of this.#held.values()) message.working();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stop.signal.aborted) this.#wake();
    });
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Starts taking work at once. */
export function startWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new Queue(options);
}
