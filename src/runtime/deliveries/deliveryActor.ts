/** How a delivery's events and its machine's facts correspond, and how a delivery comes into being. */
import { createHash } from "node:crypto";
import {
  DELIVERY_MACHINE,
  type DeliveryContext,
  type DeliveryFact,
  deliveryMachine,
} from "../../../machines/delivery.ts";
import type { DeliveryAggregate } from "../../domain/aggregate.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, EventData } from "../../domain/event.ts";
import type { Behaviour } from "../actor.ts";

/** What a delivery is born with. */
export type PendingData = EventData<"delivery.pending">;

/** The fact in each event after the first. */
function factOf(event: AnyEvent): DeliveryFact {
  switch (event.type) {
    case "delivery.pending":
      if (event.data.fact === "redelivered") return { type: "delivery.redelivered" };
      throw new LogCorrupt(`delivery ${event.data.delivery_id} is created a second time`);
    case "delivery.retrying":
      return { type: "attempt.failed", attempt: event.data.attempt, delayMs: event.data.delay_ms };
    case "delivery.delivered":
      return { type: "attempt.accepted", attempt: event.data.attempt };
    case "delivery.dead": {
      const { fact, reason, attempt } = event.data;
      if (fact === "delivery.dropped") return { type: fact, reason: reason as "target_deleted" };
      return { type: fact, attempt: attempt ?? 0 };
    }
    default:
      throw new LogCorrupt(`${event.type} is no event of a delivery`);
  }
}

export const deliveryBehaviour: Behaviour<DeliveryFact> = {
  name: DELIVERY_MACHINE,
  machine: deliveryMachine,
  input: (first) => ({ retryDelaysMs: (first.data as PendingData).retry_delays_ms }),
  fact: factOf,
};

/** The aggregate that a delivery event's data names. */
export function deliveryAggregate(data: {
  workspace_id: number;
  target_kind: "webhook" | "destination";
  target_id: number;
  delivery_id: string;
}): DeliveryAggregate {
  return {
    kind: "delivery",
    workspaceId: data.workspace_id,
    targetKind: data.target_kind,
    targetId: data.target_id,
    deliveryId: data.delivery_id,
  };
}

/** What a delivery remembers, typed. */
export function deliveryContext(snapshot: { context: unknown }): DeliveryContext {
  return snapshot.context as DeliveryContext;
}

/** Hex SHA-256 of the exact bytes that are sent. */
export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
