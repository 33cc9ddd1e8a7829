/** Events of the log as the API shows them: as they stand there, with what each type tells. */
import { z } from "@hono/zod-openapi";
import { EVENT_DATA, type EventType } from "../../../domain/event.ts";

const envelopeSchema = z
  .object({
    specversion: z.literal("1.0"),
    id: z.uuid(),
    source: z.literal("egret"),
    subject: z.string().openapi({ description: "whose history this is of", example: "run/7011" }),
    time: z.iso.datetime(),
    datacontenttype: z.literal("application/json"),
    version: z.int().openapi({ description: "place in that history, without a gap; the cursor of lists" }),
    machine: z.string().nullable().openapi({ description: "the statechart that it moved" }),
    state: z.string().openapi({ description: "of the statechart after it", example: "started.loading" }),
    traceparent: z.string().optional(),
  })
  .openapi("Event", { description: "A fact of the log: CloudEvents 1.0, with a place and a state." });

/** `sync.cancel_requested` is SyncCancelRequestedEvent. */
function nameOf(type: EventType): string {
  const words = type.split(/[._]/).map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join("")}Event`;
}

function eventOf<T extends EventType>(type: T) {
  return envelopeSchema.extend({ type: z.literal(type), data: EVENT_DATA[type] }).openapi(nameOf(type));
}

/** What happens in a run; in dry and test runs the types begin with `trial`. */
export const runEventSchema = z
  .discriminatedUnion("type", [
    eventOf("sync.triggered"),
    eventOf("sync.skipped"),
    eventOf("sync.started"),
    eventOf("sync.checked"),
    eventOf("sync.snapshotted"),
    eventOf("sync.planned"),
    eventOf("sync.loaded"),
    eventOf("sync.cancel_requested"),
    eventOf("sync.completed"),
    eventOf("sync.success"),
    eventOf("sync.failed"),
    eventOf("trial.requested"),
    eventOf("trial.started"),
    eventOf("trial.completed"),
    eventOf("trial.failed"),
  ])
  .openapi("SyncRunEvent");

/** What happens to an alert. */
export const alertEventSchema = z
  .discriminatedUnion("type", [eventOf("alert.raised"), eventOf("alert.resolved")])
  .openapi("AlertEvent");
