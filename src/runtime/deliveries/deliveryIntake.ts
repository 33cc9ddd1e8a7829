/** Brings deliveries into being: the event that begins one is the work item itself. */
import { DELIVERY_MACHINE } from "../../../machines/delivery.ts";
import { VersionConflict } from "../../domain/errors.ts";
import type { StoredEvent } from "../../domain/event.ts";
import { type EventLog, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { begin } from "../actor.ts";
import { deliveryAggregate, deliveryBehaviour, type PendingData } from "./deliveryActor.ts";

/** Creates deliveries. */
export class DeliveryIntake {
  readonly #log: EventLog;

  constructor(log: EventLog) {
    this.#log = log;
  }

  /**
   * Appends `delivery.pending`. A delivery that exists already is left as it is and gives null: its id is derived
   * from what caused it, so reading a cause twice makes one delivery (I5).
   */
  async create(data: PendingData, traceparent?: string): Promise<StoredEvent | null> {
    const { state } = begin(deliveryBehaviour, { retryDelaysMs: data.retry_delays_ms });
    const draft = { type: "delivery.pending", machine: DELIVERY_MACHINE, state, data, traceparent } as const;
    try {
      return await this.#log.append(deliveryAggregate(data), draft, NEW_AGGREGATE);
    } catch (error) {
      if (error instanceof VersionConflict) return null;
      throw error;
    }
  }
}
