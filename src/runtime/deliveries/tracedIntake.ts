/** Brings a delivery into being as a part of the trace that caused it. */
import { toError } from "../../domain/errors.ts";
import type { StoredEvent } from "../../domain/event.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { PendingData } from "./deliveryActor.ts";
import type { DeliveryIntake } from "./deliveryIntake.ts";

/** Creates the delivery; its first event carries the context under which its attempts are made. */
export async function createTraced(
  { intake, tracing }: { intake: DeliveryIntake; tracing: Tracing },
  parent: string | undefined,
  data: PendingData,
): Promise<StoredEvent | null> {
  const span = tracing.delivery(parent, data);
  try {
    const created = await intake.create(data, span.traceparent);
    span.end();
    return created;
  } catch (error) {
    span.end({ error: toError(error).name });
    throw error;
  }
}
