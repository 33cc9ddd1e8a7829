/**
 * Where deliveries wait that cannot go now for a reason of their target: it is slow, paused, or its circuit is open.
 * A work-queue stream with one subject and one consumer per such target, so that none of them holds up another (I7)
 * and a backlog of any length costs a worker nothing (I10). The truth of a delivery stays in its events: what waits
 * here only says that there is work.
 */
import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream";
import { headers } from "nats";
import type { LogConnection } from "./connection.ts";
import { Publisher } from "./publisher.ts";
import { ACK_WAIT_MS } from "./topology.ts";

/** Where deliveries go: a webhook or a destination, by its id. */
export interface TargetRef {
  kind: "webhook" | "destination";
  id: number;
}

/** A delivery that waits. It is worked on only while `version` is still its last, so a stale item does nothing. */
export interface WaitingItem {
  workspaceId: number;
  target: TargetRef;
  deliveryId: string;
  version: number;
}

/** Deliveries of one target that may sleep until they are due; what comes after them stays in the stream. */
const MAX_SLEEPING = 10_000;
const NANOS_PER_MS = 1_000_000;
/** A consumer is only a place to read from: the server forgets one that nobody uses, and its items stay. */
const FORGOTTEN_AFTER_MS = 600_000;

const encoder = new TextEncoder();

/** One name per target, for maps and consumers: `webhook_12`. */
export function targetName({ kind, id }: TargetRef): string {
  return `${kind}_${id}`;
}

/** Puts deliveries into the waiting room and tells who has some there. */
export class WaitingRoom {
  readonly #connection: LogConnection;
  readonly #publisher: Publisher;

  constructor(connection: LogConnection) {
    this.#connection = connection;
    this.#publisher = new Publisher(connection.nc);
  }

  /**
   * Returns once the item is stored; putting it twice stores it once.
   * @throws Unavailable or PublishRefused when it was not stored for certain: the work item it stands for must stay.
   */
  async put(item: WaitingItem): Promise<void> {
    const { kind, id } = item.target;
    const options = headers();
    options.set(
      "Nats-Msg-Id",
      `${item.workspaceId}:${targetName(item.target)}:${item.deliveryId}:${item.version}`,
    );
    const payload = encoder.encode(JSON.stringify(item));
    await this.#publisher.publish(this.#connection.topology.waiting(kind, id), payload, options);
  }

  /** Makes the consumer of a target if it is not there, and returns its name. */
  async open(target: TargetRef): Promise<string> {
    const { jsm, topology } = this.#connection;
    const name = `waiting_${targetName(target)}`;
    await jsm.consumers.add(topology.waitingStream, {
      durable_name: name,
      filter_subject: topology.waiting(target.kind, target.id),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
      max_deliver: -1,
      max_ack_pending: MAX_SLEEPING,
      inactive_threshold: FORGOTTEN_AFTER_MS * NANOS_PER_MS,
    });
    return name;
  }

  /** How many deliveries wait for each target that has any. */
  async count(): Promise<{ target: TargetRef; waiting: number }[]> {
    const { jsm, topology } = this.#connection;
    const everything = topology.waiting("*", "*");
    const { state } = await jsm.streams.info(topology.waitingStream, { subjects_filter: everything });
    return Object.entries(state.subjects ?? {}).map(([subject, waiting]) => {
      const [kind, id] = subject.split(".").slice(-2);
      return { target: { kind: kind as TargetRef["kind"], id: Number(id) }, waiting };
    });
  }

  /** Stops publishing; the connection belongs to who opened it. */
  close(): void {
    this.#publisher.close();
  }
}

/** The item in a message of the waiting room. */
export function readWaitingItem(bytes: Uint8Array): WaitingItem {
  return JSON.parse(new TextDecoder().decode(bytes)) as WaitingItem;
}
