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

class Queue implements WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #held = new Map<number, { message: JsMsg; work: Promise<void> }>();
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
      const concurrency = this.#options.concurrency();
      const free = concurrency - this.#held.size - this.#credits;
      const isWorthIt = free * 4 >= concurrency;
      if (free > 0 && (this.#credits === 0 || isWorthIt)) {
        // Much is held: what comes free one by one is asked for together.
        if (!isWorthIt && !isGathered) {
          isGathered = true;
          await delay(GATHER_MS);
          continue;
        }
        isGathered = false;
        try {
          consumer ??= await connection.js.consumers.get(stream, name);
          this.#pull(consumer, free);
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
    const held = this.#held.get(message.seq);
    if (held !== undefined) {
      // The server gave us up while we were cut off, and asks us again: one worker, one hold, the newer receipt.
      held.message = message;
      return;
    }
    const work = this.#work(message).finally(() => {
      this.#held.delete(message.seq);
      this.#wake();
    });
    this.#held.set(message.seq, { message, work });
    this.#renewal ??= setInterval(() => this.#renew(), RENEW_EVERY_MS);
  }

  async #work(message: JsMsg): Promise<void> {
    const { handle, logger, consumer } = this.#options;
    const receipt = () => this.#held.get(message.seq)?.message ?? message;
    try {
      const result = await handle(message);
      const last = receipt();
      if (result.kind === "done") atTurnEnd(() => last.ack());
      else if (result.kind === "again") {
        const delayMs = Math.max(0, Math.ceil(result.delayMs));
        atTurnEnd(() => last.nak(delayMs));
      } else last.term(result.reason);
    } catch (error) {
      const delayMs = Math.min(250 * 2 ** Math.min(message.info.deliveryCount, 10), MAX_ERROR_DELAY_MS);
      logger.warn({ err: toError(error), consumer, subject: message.subject, delayMs }, "worker.item_failed");
      receipt().nak(delayMs);
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
