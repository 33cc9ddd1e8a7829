/** A webhook as the API reads, shows and looks it up; its secret is shown once, when it is made or rotated. */
import { z } from "@hono/zod-openapi";
import type { Kysely } from "kysely";
import { suggestion } from "../../../configuration/nearest.ts";
import { isLifecycleEvent, LIFECYCLE_EVENTS } from "../../../domain/lifecycle.ts";
import type { Database } from "../../../projections/database.ts";
import { instant, instantOrNull } from "../answers.ts";
import { type HealthRow, healthSchema, presentHealth } from "./health.ts";

const eventSchema = z
  .string({ error: "Must be the name of an event." })
  .superRefine((name, context) => {
    if (isLifecycleEvent(name)) return;
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(name.slice(0, 100))} is not an event.${suggestion(name, LIFECYCLE_EVENTS)}`,
    });
  })
  .openapi({ type: "string", enum: [...LIFECYCLE_EVENTS] });

const tlsSchema = z
  .object({
    ca: z.string().optional(),
    client_certificate: z.string().optional(),
    client_key: z.string().optional(),
  })
  .openapi({ description: "PEM texts; never shown again. null: none" });

/** What can be set; everything may be left out in a PATCH. */
const settings = {
  description: z
    .string()
    .max(1000, { error: "Must have at most 1000 characters." })
    .nullable()
    .openapi({ example: "failed syncs" }),
  enabled: z.boolean().openapi({ description: "false: no deliveries, and what waits is dropped" }),
  auto_disable_after_exhausted: z
    .int()
    .min(1)
    .max(1_000_000)
    .nullable()
    .openapi({ description: "disable it after so many deliveries in a row were lost; null: never" }),
  disable_on_gone: z.boolean().openapi({ description: "disable it when it answers 410 Gone" }),
  honor_retry_after: z
    .boolean()
    .openapi({ description: "wait as long as its Retry-After asks, up to 15 minutes" }),
  tls: tlsSchema.nullable(),
};

const nameSchema = z.string({ error: "Give it a name." }).openapi({ maxLength: 200, example: "Pager" });
const endpointSchema = z
  .string({ error: "Give the https:// address that gets the events." })
  .min(1, { error: "Give the https:// address that gets the events." })
  .max(4_096, { error: "Must have at most 4096 characters." })
  .openapi({ example: "https://ops.example.org/hooks/sync", description: "https:// address" });
const eventsSchema = z
  .array(eventSchema, { error: "Must be a list of events." })
  .min(1, { error: "Name at least one event, or leave `events` out for all of them." })
  .max(100);

/** Body of POST /webhooks. */
export const newWebhookSchema = z.object({
  name: nameSchema,
  endpoint: endpointSchema,
  events: eventsSchema.nullish().openapi({ description: "left out: all of them" }),
  ...z.object(settings).partial().shape,
});

/** Body of PATCH /webhooks/{id}. */
export const webhookChangesSchema = z.object({
  name: nameSchema.optional(),
  endpoint: endpointSchema.optional(),
  events: eventsSchema.nullish().openapi({ description: "null: all of them" }),
  paused: z
    .boolean()
    .optional()
    .openapi({ description: "true: what comes waits, and spends no attempt, until it is false again" }),
  ...z.object(settings).partial().shape,
});

/** What a client may ask to be changed. */
export type WebhookChanges = z.infer<typeof webhookChangesSchema>;

export const webhookSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    description: z.string().nullable(),
    endpoint: z.string(),
    events: z.array(z.enum(LIFECYCLE_EVENTS)),
    enabled: z.boolean(),
    disabled_reason: z.enum(["gone", "exhausted", "operator"]).nullable().openapi({
      description:
        "`gone` and `exhausted`: by itself; `operator`: by PATCH or `egret webhook disable`; null where its file does it",
    }),
    disabled_at: z.iso.datetime().nullable(),
    paused: z.boolean(),
    honor_retry_after: z.boolean(),
    auto_disable_after_exhausted: z.int().nullable(),
    disable_on_gone: z.boolean(),
    has_tls: z.boolean().openapi({ description: "whether it has TLS settings of its own" }),
    previous_secret_until: z.iso
      .datetime()
      .nullable()
      .openapi({ description: "until then the secret before the last rotation signs too" }),
    health: healthSchema,
    last_success_at: z.iso.datetime().nullable(),
    last_failure_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi("Webhook");

/** With the secret, once. */
export const webhookWithSecretSchema = webhookSchema
  .extend({
    secret: z.string().openapi({ description: "key of the signatures; shown this once", example: "whsec_…" }),
  })
  .openapi("WebhookWithSecret");

/** A webhook with what is known of its deliveries and its endpoint. */
export type WebhookRow = Awaited<ReturnType<ReturnType<typeof selectWebhooks>["execute"]>>[number];

/** Query over the webhooks of a workspace. */
export function selectWebhooks(db: Kysely<Database>, workspaceId: number) {
  return db
    .selectFrom("egret.webhooks as webhook")
    .leftJoin("egret_read.webhooks as seen", "seen.id", "webhook.id")
    .leftJoin("egret_read.endpoints as endpoint", (join) =>
      join.onRef("endpoint.target_id", "=", "webhook.id").on("endpoint.target_kind", "=", "webhook"),
    )
    .where("webhook.workspace_id", "=", workspaceId)
    .select([
      "webhook.id",
      "webhook.version",
      "webhook.name",
      "webhook.label",
      "webhook.description",
      "webhook.endpoint",
      "webhook.events",
      "webhook.enabled",
      "webhook.disabled_at",
      "webhook.disabled_reason",
      "webhook.paused",
      "webhook.honor_retry_after",
      "webhook.auto_disable_after_exhausted",
      "webhook.disable_on_gone",
      "webhook.previous_secret_until",
      "webhook.created_at",
      "webhook.updated_at",
      "seen.last_success_at",
      "seen.last_failure_at",
    ])
    .select(({ eb }) => eb("webhook.tls", "is not", null).as("has_tls"))
    .select(["endpoint.state", "endpoint.since", "endpoint.consecutive_failures", "endpoint.outages"])
    .select(["endpoint.last_error", "endpoint.last_http_status", "endpoint.next_probe_at"]);
}

/** The webhook as clients read it. */
export function presentWebhook(row: WebhookRow, now: Date): z.infer<typeof webhookSchema> {
  const { previous_secret_until: until } = row;
  return {
    id: row.id,
    name: row.label ?? row.name,
    description: row.description,
    endpoint: row.endpoint,
    events: row.events.filter(isLifecycleEvent),
    enabled: row.enabled,
    disabled_reason: row.disabled_reason,
    disabled_at: instantOrNull(row.disabled_at),
    paused: row.paused,
    honor_retry_after: row.honor_retry_after,
    auto_disable_after_exhausted: row.auto_disable_after_exhausted,
    disable_on_gone: row.disable_on_gone,
    has_tls: Boolean(row.has_tls),
    previous_secret_until: until !== null && until > now ? instant(until) : null,
    health: presentHealth(row satisfies HealthRow),
    last_success_at: instantOrNull(row.last_success_at),
    last_failure_at: instantOrNull(row.last_failure_at),
    created_at: instant(row.created_at),
    updated_at: instant(row.updated_at),
  };
}
