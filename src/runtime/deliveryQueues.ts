/** One work queue per target: each has its own places, and none waits behind another (I7). */
import type { JsMsg } from "@nats-io/jetstream";
import { toError } from "../domain/errors.ts";
import type { LogConnection } from "../log/connection.ts";
import {
  listTargets,
  retireTargetConsumer,
  type TargetRef,
  targetConsumerName,
} from "../log/targetConsumers.ts";
import { DeliveryWorker, type DeliveryWorkerOptions } from "./deliveryWorker.ts";
import { onNewTarget } from "./hints.ts";
import { Pace } from "./pace.ts";
import { Semaphore } from "./semaphore.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "./workQueue.ts";

export interface DeliveryQueuesOptions extends DeliveryWorkerOptions {
  connection: LogConnection;
  /** Attempts under way at once in this process, over all targets. */
  concurrency: number;
}

/** Workers hear of a new target at once; this is how soon they find one whose announcement was lost, ms. */
const LOOK_EVERY_MS = 5_000;
/** No target has more than this share of the process. */
const LARGEST_SHARE = 0.5;

interface TargetQueue {
  target: TargetRef;
  queue: WorkQueue;
  /** The target was deleted: its queue goes when nothing waits in it. */
  isGone: boolean;
}

class DeliveryQueues implements WorkQueue {
  readonly #options: DeliveryQueuesOptions;
  readonly #worker: DeliveryWorker;
  readonly #places: Semaphore;
  readonly #queues = new Map<string, TargetQueue>();
  readonly #stopHints: () => void;
  readonly #looking: NodeJS.Timeout;
  #isClosing = false;
  #look: Promise<void>;

  constructor(options: DeliveryQueuesOptions) {
    this.#options = options;
    this.#worker = new DeliveryWorker(options);
    this.#places = new Semaphore(options.concurrency);
    this.#stopHints = onNewTarget(options.connection, (target) => this.#open(target));
    this.#look = this.#lookForTargets();
    this.#looking = setInterval(() => {
      this.#look = this.#look.then(() => this.#lookForTargets());
    }, LOOK_EVERY_MS);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#looking);
    this.#stopHints();
    await this.#look;
    this.#places.close();
    await Promise.all([...this.#queues.values()].map(({ queue }) => queue.close()));
  }

  async #lookForTargets(): Promise<void> {
    const { connection, logger } = this.#options;
    const openBefore = [...this.#queues.keys()];
    try {
      const targets = await listTargets(connection);
      for (const target of targets) this.#open(target);
      const there = new Set(targets.map(targetConsumerName));
      // Another process may have retired a target; a queue that opened while we asked is not judged.
      await Promise.all(openBefore.filter((name) => !there.has(name)).map((name) => this.#drop(name)));
      for (const each of this.#queues.values()) if (each.isGone) await this.#retire(each);
    } catch (error) {
      // A server that is away is waited for; the queues that are open wait for it themselves.
      logger.debug({ err: toError(error) }, "deliveries.looking_for_targets");
    }
  }

  #open(target: TargetRef): void {
    const name = targetConsumerName(target);
    if (this.#isClosing || this.#queues.has(name)) return;
    const { connection, logger } = this.#options;
    const pace = new Pace();
    const queue = startWorkQueue({
      connection,
      stream: connection.topology.eventStreams.deliveries,
      consumer: name,
      concurrency: () => pace.limit,
      logger,
      // What has no place yet when the process closes goes back to the others at once (I13).
      handle: async (message) =>
        (await this.#places.use(() => this.#handle(target, pace, message))) ?? { kind: "again", delayMs: 0 },
    });
    this.#queues.set(name, { target, queue, isGone: false });
  }

  async #handle(target: TargetRef, pace: Pace, message: JsMsg): Promise<WorkResult> {
    const { targets, concurrency } = this.#options;
    const { fewest, most } = await targets[target.kind].bounds(target.id);
    const share = Math.max(1, Math.floor(concurrency * LARGEST_SHARE));
    pace.keepWithin({ fewest: Math.min(fewest, share), most: Math.min(most, share) });
    const { result, outcome } = await this.#worker.handle(message);
    if (outcome?.kind === "accepted") pace.accepted(outcome.durationMs);
    else if (outcome?.kind === "failed") pace.failed();
    else if (outcome?.kind === "dropped" && outcome.reason === "target_deleted") this.#markGone(target);
    return result;
  }

  #markGone(target: TargetRef): void {
    const queue = this.#queues.get(targetConsumerName(target));
    if (queue !== undefined) queue.isGone = true;
  }

  async #retire(each: TargetQueue): Promise<void> {
    if (await retireTargetConsumer(this.#options.connection, each.target))
      await this.#drop(targetConsumerName(each.target));
  }

  async #drop(name: string): Promise<void> {
    const dropped = this.#queues.get(name);
    this.#queues.delete(name);
    await dropped?.queue.close();
  }
}

/** Starts working on the deliveries of every target, those that come later included; several processes may. */
export function startDeliveryQueues(options: DeliveryQueuesOptions): WorkQueue {
  return new DeliveryQueues(options);
}
