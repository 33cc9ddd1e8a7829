/**
 * Takes the work on deliveries from the log: first attempts and retries through two consumers that all processes
 * share, and what a slow, paused or dead target holds up through the waiting room (I7).
 */
import type { JsMsg } from "@nats-io/jetstream";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, EgretEvent, StoredEvent } from "../../domain/event.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import { CONSUMERS } from "../../log/topology.ts";
import { type TargetRef, targetName, WaitingRoom } from "../../log/waitingRoom.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import type { TargetBounds } from "./attempt.ts";
import type { Circuit } from "./circuit.ts";
import { deliveryAggregate } from "./deliveryActor.ts";
import { DeliveryLines, type Line, RELIEVE_EVERY_MS } from "./deliveryLines.ts";
import { DeliveryWorker, type DeliveryWorkerOptions, type MadeHere, targetOf } from "./deliveryWorker.ts";
import { RecentHistories } from "./recentHistories.ts";
import { SMALL_RECORDS } from "./requestSlots.ts";
import { type DeliveryWork, WaitingQueues } from "./waitingQueues.ts";

export interface DeliveryLanesOptions extends DeliveryWorkerOptions {
  connection: LogConnection;
  /** Attempts under way at once in this process, over all targets. */
  concurrency: number;
  circuit: Circuit;
}

/** An event that says there is work. */
type WorkEvent = EgretEvent<"delivery.pending"> | EgretEvent<"delivery.retrying">;

/** Work items held per place: enough that pulls are large, few enough that memory stays small (I10). */
const HELD_PER_PLACE = 8;
/** The server wakes a retry some 50 to 120 ms late: it is asked to so much earlier, and the retry waits here for its time, ms. */
const LEAD_MS = 150;
/** An item that cannot go after all is asked for again after this, ms. */
const NOT_NOW_MS = 2_000;

class DeliveryLanes implements WorkQueue {
  readonly #options: DeliveryLanesOptions;
  readonly #worker: DeliveryWorker;
  readonly #lines: DeliveryLines;
  readonly #room: WaitingRoom;
  readonly #waiting: WaitingQueues;
  readonly #recent = new RecentHistories();
  readonly #lanes: WorkQueue[];
  #relief: NodeJS.Timeout | null = null;

  constructor(options: DeliveryLanesOptions) {
    const { connection, concurrency, logger } = options;
    this.#options = options;
    this.#worker = new DeliveryWorker(options);
    const held = concurrency * HELD_PER_PLACE;
    this.#lines = new DeliveryLines({ places: concurrency, roomy: held / 2 });
    this.#room = new WaitingRoom(connection);
    this.#waiting = new WaitingQueues({
      ...options,
      room: this.#room,
      lineOf: (target) => this.#lines.of(targetName(target)),
      handle: (work) => this.#begin(work),
    });
    this.#lanes = [CONSUMERS.firstAttempts, CONSUMERS.retries].map((consumer) =>
      startWorkQueue({
        connection,
        stream: connection.topology.eventStreams.deliveries,
        consumer,
        concurrency: () => held,
        logger,
        handle: (message) => this.#take(message),
      }),
    );
  }

  wake(): void {
    for (const lane of this.#lanes) lane.wake();
  }

  async close(): Promise<void> {
    this.#stopRelieving();
    this.#lines.close();
    await Promise.all([this.#waiting.close(), ...this.#lanes.map((lane) => lane.close())]);
    this.#room.close();
  }

  /** No async function: most messages are a whole history, and what they ask for begins at once. */
  #take(message: JsMsg): Promise<WorkResult> {
    const event = decodeEvent(message.data, message.subject);
    if (event.type !== "delivery.pending" && event.type !== "delivery.retrying") {
      throw new LogCorrupt(`${event.type} is not a work item`);
    }
    const history = event.version === 1 ? this.#known(event, message) : null;
    if (history === null) return this.#takeLater(message, event);
    const { target_kind: kind, target_id: id } = event.data;
    return this.#begin({ target: { kind, id }, history, dueAtMs: null, isFromWaitingRoom: false });
  }

  /** One that has moved on since, or is about to: its time has to come, and its history may have to be read. */
  async #takeLater(message: JsMsg, event: WorkEvent): Promise<WorkResult> {
    const { target_kind: kind, target_id: id } = event.data;
    const dueAtMs = event.type === "delivery.retrying" ? Date.parse(event.data.due_at) : null;
    const waitMs = dueAtMs === null ? 0 : dueAtMs - Date.now();
    // A wake-up is only a hint: after a restart it can come up to a second early (I6).
    if (waitMs > LEAD_MS) return { kind: "again", delayMs: waitMs - LEAD_MS };
    const history =
      this.#known(event, message) ?? (await this.#options.log.load(deliveryAggregate(event.data)));
    if (history.at(-1)?.sequence !== message.seq) return this.#worker.settleIfEnded(history);
    if (dueAtMs !== null) await until(dueAtMs);
    return this.#begin({ target: { kind, id }, history, dueAtMs, isFromWaitingRoom: false });
  }

  /** The history as far as nobody else can have moved it on: a message that comes more often than it has to may be stale. */
  #known(event: AnyEvent, { seq, info }: JsMsg): readonly StoredEvent[] | null {
    // On its first way out the message of a first event is all there is.
    if (event.version === 1) return info.deliveryCount === 1 ? [{ event, sequence: seq }] : null;
    // A retry comes once to be told when it is due, and once when it is.
    return info.deliveryCount <= 2 ? this.#recent.take(seq) : null;
  }

  /** Attempts a delivery as soon as its target has room; what has to wait for its target waits in the waiting room. */
  async #begin(work: DeliveryWork): Promise<WorkResult> {
    const { target, dueAtMs, isFromWaitingRoom } = work;
    const line = this.#lines.of(targetName(target));
    // What is known is not waited for: each wait is a turn of the queue of promises, and thousands pass here each second.
    const mayGo = this.#mayGo(work, line);
    if (!(typeof mayGo === "boolean" ? mayGo : await mayGo)) return this.#putAside(work, line);
    this.#relief ??= setInterval(() => this.#relieve(), RELIEVE_EVERY_MS);
    const verdict = this.#lines.enter(line, { dueAtMs, isMovable: !isFromWaitingRoom });
    const place = verdict instanceof Promise ? await verdict : verdict;
    // What has no place yet when the process closes goes back to the others at once (I13).
    if (place === "closed") return { kind: "again", delayMs: 0 };
    if (place === "move") return this.#putAside(work, line);
    let isLeft = false;
    try {
      const { result, made, settling } = await this.#worker.advance(work.history);
      if (made === null) return result;
      this.#learn(work, line, made);
      if (made.state === "retrying") this.#recent.remember([...work.history, made.event]);
      // The end stands in the log. Small batches are told to their run many at a time: meanwhile the next ones may go.
      if (settling !== null && isSmall(work)) {
        this.#lines.leave(place);
        isLeft = true;
      }
      if (settling !== null) await settling;
      // A retry that follows is a work item of its own.
      return { kind: "done" };
    } finally {
      if (!isLeft) this.#lines.leave(place);
    }
  }

  #relieve(): void {
    this.#lines.relieve();
    // An idle process is not woken for nothing.
    if (this.#lines.isIdle) this.#stopRelieving();
  }

  #stopRelieving(): void {
    if (this.#relief !== null) clearInterval(this.#relief);
    this.#relief = null;
  }

  #mayGo(work: DeliveryWork, line: Line): Promise<boolean> | boolean {
    const bounds = targetOf(this.#options.targets, work.target.kind).bounds(work.target.id);
    return bounds instanceof Promise
      ? bounds.then((known) => this.#mayGoWithin(known, work, line))
      : this.#mayGoWithin(bounds, work, line);
  }

  #mayGoWithin(bounds: TargetBounds, work: DeliveryWork, line: Line): Promise<boolean> | boolean {
    const { target, dueAtMs, history, isFromWaitingRoom } = work;
    line.pace.keepWithin(bounds);
    line.isPaused = bounds.isPaused;
    if (bounds.isPaused) return false;
    // Nothing is sent to a target that is gone: its deliveries end at once.
    if (bounds.isGone === true) return true;
    // Once begun, a delivery keeps its schedule: neither the circuit nor a queue holds up a retry (seed).
    if (dueAtMs !== null) return true;
    if (line.isDiverted && !isFromWaitingRoom) return false;
    const workspaceId = (history[0] as StoredEvent).event.data.workspace_id;
    const loading = this.#options.circuit.load(workspaceId, target);
    return loading === undefined
      ? this.#isLetBegin(target, line)
      : loading.then(() => this.#isLetBegin(target, line));
  }

  #isLetBegin(target: TargetRef, line: Line): Promise<boolean> | boolean {
    const { circuit } = this.#options;
    if (circuit.mayBegin(target)) return line.beginnings.take(performance.now());
    return this.#waiting.takeProbe(target) || circuit.tryProbe(target);
  }

  async #putAside({ target, history, isFromWaitingRoom }: DeliveryWork, line: Line): Promise<WorkResult> {
    if (isFromWaitingRoom) return { kind: "again", delayMs: NOT_NOW_MS };
    const { event } = history.at(-1) as StoredEvent;
    const { workspace_id: workspaceId, delivery_id: deliveryId } = event.data as {
      workspace_id: number;
      delivery_id: string;
    };
    line.isDiverted = true;
    await this.#waiting.put({ workspaceId, target, deliveryId, version: event.version });
    return { kind: "done" };
  }

  #learn({ target, dueAtMs }: DeliveryWork, line: Line, { outcome, state }: MadeHere): void {
    if (outcome.kind === "dropped") return;
    if (outcome.kind === "accepted") line.pace.accepted(outcome.durationMs);
    else if (outcome.kind === "failed") line.pace.failed();
    if (outcome.kind === "failed") line.beginnings.failed(performance.now());
    else line.beginnings.accepted();
    this.#options.circuit.report(target, {
      ok: outcome.kind !== "failed",
      httpStatus: outcome.httpStatus,
      error: outcome.kind === "accepted" ? null : outcome.error,
      atMs: outcome.startedAt.getTime() + outcome.durationMs,
      isFirst: dueAtMs === null,
      exhausted: outcome.kind === "failed" && state === "dead",
    });
  }
}

function isSmall({ history }: DeliveryWork): boolean {
  const { data } = (history[0] as StoredEvent).event;
  return "records" in data && data.records <= SMALL_RECORDS;
}

/** Timers may fire a millisecond early, retries may not (I6). */
async function until(atMs: number): Promise<void> {
  for (let left = atMs - Date.now(); left > 0; left = atMs - Date.now())
    await new Promise((resolve) => setTimeout(resolve, left));
}

/** Starts working on deliveries to every target; several processes may. */
export function startDeliveryLanes(options: DeliveryLanesOptions): WorkQueue {
  return new DeliveryLanes(options);
}
