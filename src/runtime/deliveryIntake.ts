/** Brings deliveries into being: the event that begins one is the work item itself. */
import { DELIVERY_MACHINE } from "../../machines/delivery.ts";
import { VersionConflict } from "../domain/errors.ts";
import type { StoredEvent } from "../domain/event.ts";
import type { LogConnection } from "../log/connection.ts";
import { type EventLog, NEW_AGGREGATE } from "../log/eventLog.ts";
import { ensureTargetConsumer, targetConsumerName } from "../log/targetConsumers.ts";
import { begin } from "./actor.ts";
import { deliveryAggregate, deliveryBehaviour, type PendingData } from "./deliveryActor.ts";
import { publishNewTarget } from "./hints.ts";

/** Creates deliveries for one process; remembers which targets have a queue. */
export class DeliveryIntake {
  readonly #connection: LogConnection;
  readonly #log: EventLog;
  readonly #queued = new Map<string, Promise<void>>();

  constructor(connection: LogConnection, log: EventLog) {
    this.#connection = connection;
    this.#log = log;
  }

  /**
   * Appends `delivery.pending`. A delivery that exists already is left as it is and gives null: its id is derived
   * from what caused it, so reading a cause twice makes one delivery (I5).
   */
  async create(data: PendingData): Promise<StoredEvent | null> {
    await this.#ensureQueue(data);
    const { state } = begin(deliveryBehaviour, { retryDelaysMs: data.retry_delays_ms });
    const draft = { type: "delivery.pending", machine: DELIVERY_MACHINE, state, data } as const;
    try {
      return await this.#log.append(deliveryAggregate(data), draft, NEW_AGGREGATE);
    } catch (error) {
      if (error instanceof VersionConflict) return null;
      throw error;
    }
  }

  /** The queue is there before the item is, and every worker hears of it. */
  #ensureQueue({ target_kind: kind, target_id: id }: PendingData): Promise<void> {
    const name = targetConsumerName({ kind, id });
    let ready = this.#queued.get(name);
    if (ready === undefined) {
      ready = ensureTargetConsumer(this.#connection, { kind, id }).then(() =>
        publishNewTarget(this.#connection, { kind, id }),
      );
      this.#queued.set(name, ready);
      ready.catch(() => this.#queued.delete(name));
    }
    return ready;
  }
}
