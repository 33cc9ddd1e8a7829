/** One queue per target for which deliveries wait: opened when some are put there or found, closed when none is left. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { toError } from "../../domain/errors.ts";
import type { StoredEvent } from "../../domain/event.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import {
  readWaitingItem,
  type TargetRef,
  targetName,
  type WaitingItem,
  type WaitingRoom,
} from "../../log/waitingRoom.ts";
import { onWaiting, publishWaiting } from "../hints.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import type { Circuit } from "./circuit.ts";
import type { Line } from "./deliveryLines.ts";
import type { Targets } from "./deliveryWorker.ts";

/** A delivery that there is work on, and where it came from. */
export interface DeliveryWork {
  target: TargetRef;
  history: readonly StoredEvent[];
  /** When a retry is due, ms; null for a first attempt. */
  dueAtMs: number | null;
  isFromWaitingRoom: boolean;
}

export interface WaitingQueuesOptions {
  connection: LogConnection;
  log: EventLog;
  room: WaitingRoom;
  circuit: Circuit;
  targets: Targets;
  logger: Logger;
  lineOf(target: TargetRef): Line;
  handle(work: DeliveryWork): Promise<WorkResult>;
}

/** How often it is looked what waits while some queue is open, so that an empty one is closed soon, ms. */
const LOOK_EVERY_MS = 500;
/** Workers hear of a waiting delivery at once; this is how soon they find one whose announcement was lost, ms. */
const LOOK_WITHOUT_QUEUES_EVERY_MS = 5_000;
/** How often a target whose circuit is open is asked whether its probe is due, ms. */
const PROBE_EVERY_MS = 250;
/** Items held beyond what the target may have under way, so that the next one is there when a place gets free. */
const AHEAD = 4;

interface Queue {
  target: TargetRef;
  line: Line;
  /** Null until its consumer is there. */
  work: WorkQueue | null;
  workspaceId: number | null;
  /** First attempts that may go in spite of an open circuit. */
  probes: number;
  /** Counts what was put, so that a look that began before does not close the queue. */
  puts: number;
}

/** The queues of one process. */
export class WaitingQueues {
  readonly #options: WaitingQueuesOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #stops: (() => void)[];
  #watching: NodeJS.Timeout[] = [];
  #isClosing = false;
  #looking: Promise<void> = Promise.resolve();
  #probing: Promise<void> = Promise.resolve();

  constructor(options: WaitingQueuesOptions) {
    this.#options = options;
    const slowly = setInterval(() => this.#lookSoon(), LOOK_WITHOUT_QUEUES_EVERY_MS);
    this.#stops = [
      () => clearInterval(slowly),
      () => this.#stopWatching(),
      onWaiting(options.connection, (target) => void this.#open(target)),
      options.circuit.onChange((target) => this.#queues.get(targetName(target))?.work?.wake()),
    ];
    this.#lookSoon();
  }

  /** Stores that a delivery waits, and works on it from there when its target lets it. */
  async put(item: WaitingItem): Promise<void> {
    await this.#options.room.put(item);
    const queue = this.#open(item.target);
    queue.puts += 1;
    if (queue.puts === 1) publishWaiting(this.#options.connection, item.target);
  }

  /** True when a probe was won for this target and nobody has used it yet. */
  takeProbe(target: TargetRef): boolean {
    const queue = this.#queues.get(targetName(target));
    if (queue === undefined || queue.probes === 0) return false;
    queue.probes -= 1;
    return true;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    for (const stop of this.#stops) stop();
    await Promise.all([this.#looking, this.#probing]);
    await Promise.all([...this.#queues.values()].map(async ({ work }) => work?.close()));
  }

  #lookSoon(): void {
    this.#looking = this.#looking.then(() => this.#look());
  }

  /** Only while some queue is open: an idle process is not woken for nothing. */
  #watch(): void {
    if (this.#watching.length > 0 || this.#isClosing) return;
    const probe = () => {
      this.#probing = this.#probing.then(() => this.#probe());
    };
    this.#watching = [setInterval(() => this.#lookSoon(), LOOK_EVERY_MS), setInterval(probe, PROBE_EVERY_MS)];
  }

  #stopWatching(): void {
    for (const timer of this.#watching.splice(0)) clearInterval(timer);
  }

  #open(target: TargetRef): Queue {
    const name = targetName(target);
    let queue = this.#queues.get(name);
    if (queue !== undefined) return queue;
    const line = this.#options.lineOf(target);
    queue = { target, line, work: null, workspaceId: null, probes: 0, puts: 0 };
    line.isDiverted = true;
    this.#queues.set(name, queue);
    this.#watch();
    void this.#start(queue);
    return queue;
  }

  async #start(queue: Queue): Promise<void> {
    const { connection, room, logger } = this.#options;
    try {
      const consumer = await room.open(queue.target);
      if (this.#isClosing) return;
      queue.work = startWorkQueue({
        connection,
        stream: connection.topology.waitingStream,
        consumer,
        concurrency: () => this.#placesFor(queue),
        logger,
        handle: (message) => this.#take(queue, message),
      });
    } catch (error) {
      logger.warn({ err: toError(error), target: queue.target }, "deliveries.waiting_room_closed");
      // The next look, or the next delivery that has to wait, opens it again.
      this.#queues.delete(targetName(queue.target));
    }
  }

  #placesFor({ line, target, workspaceId, probes }: Queue): number {
    if (line.isPaused) return 0;
    if (workspaceId !== null && !this.#options.circuit.mayBegin(target)) return probes;
    return Math.min(line.pace.limit + AHEAD, line.beginnings.available(performance.now()));
  }

  async #take(queue: Queue, message: JsMsg): Promise<WorkResult> {
    const item = readWaitingItem(message.data);
    queue.workspaceId = item.workspaceId;
    const { target, deliveryId, workspaceId } = item;
    const history = await this.#options.log.load({
      kind: "delivery",
      workspaceId,
      targetKind: target.kind,
      targetId: target.id,
      deliveryId,
    });
    const last = history.at(-1)?.event;
    // Whoever moved the delivery on has its next event as a work item.
    if (last === undefined || last.version !== item.version) return { kind: "done" };
    const dueAtMs = last.type === "delivery.retrying" ? Date.parse(last.data.due_at) : null;
    const waitMs = dueAtMs === null ? 0 : dueAtMs - Date.now();
    if (waitMs > 0) return { kind: "again", delayMs: waitMs };
    return this.#options.handle({ target, history, dueAtMs, isFromWaitingRoom: true });
  }

  async #look(): Promise<void> {
    if (this.#isClosing) return;
    const putsBefore = new Map([...this.#queues].map(([name, { puts }]) => [name, puts]));
    try {
      const waiting = await this.#options.room.count();
      for (const { target } of waiting) this.#open(target);
      const there = new Set(waiting.map(({ target }) => targetName(target)));
      for (const [name, puts] of putsBefore) {
        const queue = this.#queues.get(name);
        if (queue === undefined || queue.puts !== puts || there.has(name)) continue;
        this.#queues.delete(name);
        queue.line.isDiverted = false;
        await queue.work?.close();
      }
      if (this.#queues.size === 0) this.#stopWatching();
    } catch (error) {
      // A server that is away is waited for; the queues that are open wait for it themselves.
      this.#options.logger.debug({ err: toError(error) }, "deliveries.looking_for_waiting");
    }
  }

  /** Looks whether a paused target was resumed, and whether the probe of an open circuit is due. */
  async #probe(): Promise<void> {
    const { circuit, targets, logger } = this.#options;
    for (const queue of this.#queues.values()) {
      if (this.#isClosing) return;
      const { target, line } = queue;
      try {
        if (line.isPaused) {
          line.isPaused = (await targets[target.kind].bounds(target.id)).isPaused;
          if (!line.isPaused) queue.work?.wake();
        } else if (queue.probes === 0 && queue.workspaceId !== null && !circuit.mayBegin(target)) {
          queue.probes = (await circuit.tryProbe(target)) ? 1 : 0;
          if (queue.probes > 0) queue.work?.wake();
        } else if (line.beginnings.isFailing) queue.work?.wake();
      } catch (error) {
        logger.debug({ err: toError(error), target: queue.target }, "deliveries.probe_failed");
      }
    }
  }
}
