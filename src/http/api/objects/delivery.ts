/** A delivery as the API shows it: one event for a webhook, or one batch for a destination, with its attempts. */
import { z } from "@hono/zod-openapi";
import { LIFECYCLE_EVENTS } from "../../../domain/lifecycle.ts";
import type { Attempt, Delivery } from "../../../projections/deliveries.ts";
import type {
  AttemptedDelivery,
  DetailedAttempt,
  DetailedDelivery,
} from "../../../projections/deliveryDetail.ts";
import { instant, instantOrNull } from "../answers.ts";
import { exchangeSchema, presentExchange } from "./exchange.ts";

/** What became of a delivery so far. */
export const DELIVERY_STATES = ["pending", "retrying", "delivered", "dead"] as const;

export const attemptSchema = z
  .object({
    n: z.int().openapi({ description: "from 1; goes on counting when it is delivered again" }),
    started_at: z.iso.datetime(),
    finished_at: z.iso.datetime(),
    duration_ms: z.number(),
    http_status: z.int().nullable(),
    error: z.string().nullable().openapi({ description: "null for an attempt that was accepted" }),
  })
  .openapi("Attempt");

export const detailedAttemptSchema = attemptSchema
  .extend({
    response_excerpt: z
      .string()
      .nullable()
      .openapi({ description: "beginning of the answer's body, as long as it is kept" }),
    exchanges: z.array(exchangeSchema).openapi({
      description: "what was said, as long as it is kept; two where a crash made the attempt happen twice",
    }),
  })
  .openapi("DetailedAttempt");

const shape = {
  id: z.string().openapi({
    description: "of our log, and so a text: ids of deliveries are no numbers",
    example: "7011-3-14",
  }),
  webhook_id: z.int().nullable().openapi({ description: "null for a batch" }),
  destination_id: z.int().nullable().openapi({ description: "null for an event" }),
  event: z.enum(LIFECYCLE_EVENTS).nullable(),
  event_id: z.string().nullable().openapi({ description: "the same for all webhooks that get the event" }),
  sync_id: z.int(),
  sync_run_id: z.int(),
  records: z.int().openapi({ description: "rows of a batch" }),
  payload: z
    .string()
    .nullable()
    .openapi({ description: "the exact text that is signed and sent; null for a batch" }),
  payload_sha256: z.string(),
  state: z.enum(DELIVERY_STATES),
  death_reason: z.string().nullable().openapi({ description: "why it is `dead`, such as exhausted" }),
  http_status: z.int().nullable().openapi({ description: "of the last attempt" }),
  error: z.string().nullable().openapi({ description: "of the last attempt" }),
  attempt_count: z.int(),
  redeliveries: z.int().openapi({ description: "how often it was begun again" }),
  next_attempt_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  ended_at: z.iso.datetime().nullable(),
};

export const deliverySchema = z.object({ ...shape, attempts: z.array(attemptSchema) }).openapi("Delivery");

export const detailedDeliverySchema = z
  .object({ ...shape, attempts: z.array(detailedAttemptSchema) })
  .openapi("DetailedDelivery");

/** A delivery of a list. */
export function presentDelivery(delivery: AttemptedDelivery): z.infer<typeof deliverySchema> {
  return { ...facts(delivery), attempts: delivery.attemptList.map(presentAttempt) };
}

/** One delivery with what was said. */
export function presentDetailedDelivery(delivery: DetailedDelivery): z.infer<typeof detailedDeliverySchema> {
  return { ...facts(delivery), attempts: delivery.attemptList.map(presentDetailedAttempt) };
}

function facts(delivery: Delivery) {
  const { target_kind: kind, target_id: targetId } = delivery;
  return {
    id: delivery.id,
    webhook_id: kind === "webhook" ? targetId : null,
    destination_id: kind === "destination" ? targetId : null,
    event: LIFECYCLE_EVENTS.find((event) => event === delivery.event) ?? null,
    event_id: delivery.event_id,
    sync_id: delivery.sync_id,
    sync_run_id: delivery.run_id,
    records: delivery.records,
    payload: delivery.payload,
    payload_sha256: delivery.payload_sha256,
    state: delivery.state,
    death_reason: delivery.death_reason,
    http_status: delivery.http_status,
    error: delivery.error,
    attempt_count: delivery.attempts,
    redeliveries: delivery.redeliveries,
    next_attempt_at: instantOrNull(delivery.next_attempt_at),
    created_at: instant(delivery.created_at),
    updated_at: instant(delivery.updated_at),
    ended_at: instantOrNull(delivery.ended_at),
  };
}

function presentAttempt(attempt: Attempt): z.infer<typeof attemptSchema> {
  const { started_at: startedAt, duration_ms: durationMs } = attempt;
  return {
    n: attempt.attempt,
    started_at: instant(startedAt),
    finished_at: instant(new Date(startedAt.getTime() + durationMs)),
    duration_ms: durationMs,
    http_status: attempt.http_status,
    error: attempt.error,
  };
}

function presentDetailedAttempt(attempt: DetailedAttempt): z.infer<typeof detailedAttemptSchema> {
  return {
    ...presentAttempt(attempt),
    response_excerpt: attempt.exchanges.at(-1)?.exchange.responseBody ?? null,
    exchanges: attempt.exchanges.map(presentExchange),
  };
}
