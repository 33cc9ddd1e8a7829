/** A replay as the API reads and shows it: many ended deliveries, or missed events, delivered (again). */
import { z } from "@hono/zod-openapi";
import { LIFECYCLE_EVENTS } from "../../../domain/lifecycle.ts";
import {
  DEFAULT_REPLAY_RATE,
  MAX_REPLAY_RATE,
  type ReplayedDeliveries,
  type ReplayWanted,
} from "../../../domain/replay.ts";
import type { ReplayRow } from "../../../runtime/replays/replayStore.ts";
import { instant, instantOrNull } from "../answers.ts";
import { idInBody } from "../endpoint.ts";

const KINDS = ["deliveries", "missed_events"] as const;
const STATES = ["dead", "delivered", "ended"] as const;

const at = z.iso
  .datetime({ offset: true, error: "Give an instant such as 2026-02-03T14:00:00Z." })
  .transform((text) => new Date(text))
  .refine((date) => date.getUTCFullYear() >= 1970 && date.getUTCFullYear() <= 9999, {
    error: "Give a year from 1970 to 9999.",
  });
const atField = at.nullish().openapi({ type: ["string", "null"], format: "date-time" });

/** Body of POST /webhooks/{id}/replays. */
export const newReplaySchema = z.object({
  kind: z
    .enum(KINDS, { error: `Write one of: ${KINDS.join(", ")}.` })
    .default("deliveries")
    .openapi({
      description:
        "`deliveries`: ended ones are begun again; `missed_events`: events for which there is no delivery, for " +
        "instance because the webhook was disabled then. Those go with `since` and `until` alone",
    }),
  state: z
    .enum(STATES, { error: `Write one of: ${STATES.join(", ")}.` })
    .optional()
    .openapi({ description: "how they ended; `ended` is both; left out: dead" }),
  event: z.enum(LIFECYCLE_EVENTS, { error: `Write one of: ${LIFECYCLE_EVENTS.join(", ")}.` }).nullish(),
  sync_id: idInBody.nullish(),
  sync_run_id: idInBody.nullish(),
  http_status: z
    .int({ error: "Give a status such as 503." })
    .min(100, { error: "Give a status such as 503." })
    .max(599, { error: "Give a status such as 503." })
    .nullish()
    .openapi({ description: "of the last attempt" }),
  since: atField,
  until: atField,
  rate_per_second: z
    .int({ error: "Give a whole number." })
    .min(1, { error: "At least 1." })
    .max(MAX_REPLAY_RATE, { error: `At most ${MAX_REPLAY_RATE}.` })
    .default(DEFAULT_REPLAY_RATE)
    .openapi({ description: "deliveries begun per second at most" }),
  validate_only: z
    .boolean()
    .default(false)
    .openapi({ description: "says how many there would be, and begins none" }),
});

type NewReplay = z.infer<typeof newReplaySchema>;

/** What is asked for; it ends now at the latest, or it would have no end. Faults are by field. */
export function wantedBy(
  body: NewReplay,
  { webhookId, now }: { webhookId: number; now: Date },
): ReplayWanted | { faults: { field: string; message: string }[] } {
  const until = instant(
    body.until === undefined || body.until === null || body.until > now ? now : body.until,
  );
  const since = body.since === undefined || body.since === null ? undefined : instant(body.since);
  if (body.kind === "missed_events") return missedBy(body, { webhookId, since, until });
  const { state = "dead", event, sync_id, sync_run_id, http_status } = body;
  const states: ReplayedDeliveries["states"] = state === "ended" ? ["delivered", "dead"] : [state];
  return {
    kind: "deliveries",
    states,
    until,
    webhook_id: webhookId,
    ...(since === undefined ? {} : { since }),
    ...given({ event, sync_id, sync_run_id, http_status }),
  };
}

function missedBy(
  body: NewReplay,
  { webhookId, since, until }: { webhookId: number; since: string | undefined; until: string },
): ReturnType<typeof wantedBy> {
  const others = (["state", "event", "sync_id", "sync_run_id", "http_status"] as const).filter(
    (field) => body[field] !== undefined && body[field] !== null,
  );
  const faults = others.map((field) => ({ field, message: "Goes with `kind: deliveries`; leave it out." }));
  if (since === undefined) {
    return { faults: [...faults, { field: "since", message: "Say since when events were missed." }] };
  }
  if (faults.length > 0) return { faults };
  return { kind: "missed_events", webhook_id: webhookId, since, until };
}

function given<T extends object>(all: T): { [K in keyof T]?: Exclude<T[K], null | undefined> } {
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined && value !== null),
  ) as { [K in keyof T]?: Exclude<T[K], null | undefined> };
}

export const replaySchema = z
  .object({
    id: z.int(),
    webhook_id: z.int().nullable().openapi({ description: "null: every webhook of the workspace" }),
    kind: z.enum(KINDS),
    filter: z.record(z.string(), z.unknown()).openapi({ description: "what was asked for" }),
    state: z
      .enum(["requested", "cancelling", "completed", "failed", "cancelled"])
      .openapi({ description: "`requested` until it has ended" }),
    total: z.int().nullable().openapi({ description: "null: not counted yet" }),
    replayed: z.int(),
    skipped: z
      .record(z.string(), z.int())
      .openapi({ description: "how many were passed over, by the reason", example: { not_ended: 2 } }),
    progress: z.number().nullable().openapi({ description: "0 to 1; null: not counted yet" }),
    rate_per_second: z.int(),
    requested_by: z.string(),
    cancelled_by: z.string().nullable(),
    error: z.string().nullable(),
    requested_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
    ended_at: z.iso.datetime().nullable(),
  })
  .openapi("Replay");

/** A replay as clients read it. */
export function presentReplay(row: ReplayRow): z.infer<typeof replaySchema> {
  const { webhook_id: webhookId, kind, ...filter } = row.wanted;
  return {
    id: row.id,
    webhook_id: webhookId ?? null,
    kind,
    filter,
    state: row.state === "requested" && row.cancelled_by !== null ? "cancelling" : row.state,
    total: row.total,
    replayed: row.replayed,
    skipped: row.skipped,
    progress: progressOf(row),
    rate_per_second: row.rate_per_second,
    requested_by: row.requested_by,
    cancelled_by: row.cancelled_by,
    error: row.error,
    requested_at: instant(row.requested_at),
    updated_at: instant(row.updated_at),
    ended_at: instantOrNull(row.ended_at),
  };
}

function progressOf({ state, total, replayed, skipped }: ReplayRow): number | null {
  if (state === "completed") return 1;
  if (total === null) return null;
  const done = Object.values(skipped).reduce((sum, each) => sum + each, replayed);
  return total === 0 ? 1 : Math.min(1, done / total);
}
