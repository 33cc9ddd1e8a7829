/** What a replay may be asked for: ended deliveries by a filter, or events that a webhook missed. */
import { z } from "zod";
import { LIFECYCLE_EVENTS } from "./lifecycle.ts";

const id = z.int().positive();
const instant = z.iso.datetime();

/** Ended deliveries of webhooks. Batches are not among them: their rows are kept only until they are settled. */
export const replayedDeliveriesSchema = z.strictObject({
  kind: z.literal("deliveries"),
  states: z.array(z.enum(["delivered", "dead"])).min(1),
  webhook_id: id.optional(),
  event: z.enum(LIFECYCLE_EVENTS).optional(),
  sync_id: id.optional(),
  sync_run_id: id.optional(),
  http_status: z.int().min(100).max(599).optional().describe("of the last attempt"),
  since: instant.optional().describe("created then or later"),
  until: instant.describe(
    "created before; at the latest when the replay was asked for, so that it has an end",
  ),
});
export type ReplayedDeliveries = z.infer<typeof replayedDeliveriesSchema>;

/** Lifecycle events for which a webhook has no delivery, for instance because it was disabled then. */
export const missedEventsSchema = z.strictObject({
  kind: z.literal("missed_events"),
  webhook_id: id,
  since: instant.describe("produced then or later"),
  until: instant.describe("produced before"),
});
export type MissedEvents = z.infer<typeof missedEventsSchema>;

/** What a replay delivers again. */
export const replayWantedSchema = z.discriminatedUnion("kind", [
  replayedDeliveriesSchema,
  missedEventsSchema,
]);
export type ReplayWanted = z.infer<typeof replayWantedSchema>;

/** Deliveries begun again per second, unless another rate is asked for: what receivers commonly bear. Source: ours. */
export const DEFAULT_REPLAY_RATE = 200;
/** Most that may be asked for. */
export const MAX_REPLAY_RATE = 5_000;

/** Why one delivery of a replay was passed over. */
export type SkipReason = "not_ended" | "target_deleted" | "target_disabled" | "not_kept" | "exists";
