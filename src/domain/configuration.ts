/** What an operator configures: sources, models, destinations, syncs, webhooks, as the rest of the code sees them. */
import { z } from "zod";
import { FIELD_TYPES } from "./fieldTypes.ts";
import {
  type HttpRequestSettings,
  httpRequestSecretsShape,
  rowResultsSchema,
} from "./httpRequestDestination.ts";
import { LIFECYCLE_EVENTS } from "./lifecycle.ts";
import type { SyncOptions } from "./syncOptions.ts";

/** Operations a sync can ask for (behaviour.md 2.1). */
export const OPERATIONS = ["upsert", "update", "insert", "append", "mirror", "delete"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What each kind of destination can do. Source: seed for the webhook, ours for the other. */
export const SUPPORTED_OPERATIONS: Readonly<Record<Destination["type"], readonly Operation[]>> = {
  webhook: ["upsert", "append", "mirror"],
  http_request: ["upsert", "update", "insert", "append", "mirror", "delete"],
};

/** Facts of the run that a mapping can send. Source: docs (sync_run_id), ours; behaviour.md 9.1. */
export const METADATA_FIELDS = ["sync_run_id", "sync_id", "sync_run_started_at"] as const;

/** Types of a constant. Source: docs; behaviour.md 9.1. */
export const CONSTANT_TYPES = ["text", "number", "boolean", "datetime"] as const;

/**
 * What fills one field: a column of the model, a fixed value, a Liquid template over columns, or a fact of the run (9.1).
 * Exactly one mapping is the sync key, and that one is a column.
 */
export const mappingSchema = z.union([
  z.strictObject({
    column: z.string().min(1),
    to: z.string().min(1),
    key: z.boolean().optional(),
    /** False leaves the field out of a record in which it would be null. */
    sync_null_values: z.boolean().optional(),
    field_type: z.enum(FIELD_TYPES).optional(),
  }),
  z.strictObject({
    constant: z.union([z.string(), z.number(), z.boolean(), z.null()]),
    to: z.string().min(1),
    basic_type: z.enum(CONSTANT_TYPES).optional(),
  }),
  z.strictObject({
    template: z.string(),
    to: z.string().min(1),
    field_type: z.enum(FIELD_TYPES).optional(),
  }),
  z.strictObject({ metadata: z.enum(METADATA_FIELDS), to: z.string().min(1) }),
]);
export type Mapping = z.infer<typeof mappingSchema>;

/** Field under which the sync key travels in a webhook body. Source: seed; behaviour.md 5.4. */
export const KEY_FIELD = "unique_id";

/** Longest name of a field: Postgres, which makes most records, cuts longer ones in silence. */
export const MAX_FIELD_BYTES = 63;

/** Non-secret settings of a webhook destination; names as in behaviour.md 5.1. */
export const webhookDestinationSettings = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  method: z.enum(["POST", "PUT", "PATCH"]).default("POST"),
  use_bulk_upload: z.boolean().default(true),
  wrap_data: z.boolean().default(true),
  batch_size: z.int().min(1).max(10_000).default(1),
  auth_token_header: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/)
    .default("Authorization"),
  timeout_seconds: z.int().min(1).max(120).default(30),
  parallel_requests: z.int().min(1).max(50).default(4),
  rate_limit_per_second: z.int().min(1).nullable().default(30),
  test_method: z.enum(["post", "head_then_post"]).default("post"),
  row_results: rowResultsSchema.optional(),
});
export type WebhookDestinationSettings = z.infer<typeof webhookDestinationSettings>;

/** TLS settings of one endpoint, as PEM; stored with its secrets, since the key is one. */
export const endpointTls = z
  .strictObject({
    /** Authorities to trust besides the usual ones. */
    ca: z.string().min(1).optional(),
    client_certificate: z.string().min(1).optional(),
    client_key: z.string().min(1).optional(),
  })
  .refine((tls) => Object.values(tls).some((pem) => pem !== undefined), {
    error: "Give `ca`, or `client_certificate` and `client_key`, or leave `tls` out.",
  });
export type EndpointTls = z.infer<typeof endpointTls>;

/** Secrets of a webhook destination: stored encrypted, never shown again. */
export const webhookDestinationSecrets = z.strictObject({
  auth_token: z.string().min(1).optional(),
  signing_secret: z.string().min(1).optional(),
  /** Further headers by name; their values are as secret as a token. */
  headers: z.record(z.string().min(1), z.string()).optional(),
  tls: endpointTls.optional(),
});
export type WebhookDestinationSecrets = z.infer<typeof webhookDestinationSecrets>;

/** Secrets of a destination of type http_request: stored encrypted, never shown again. */
export const httpRequestSecrets = z.strictObject({ ...httpRequestSecretsShape, tls: endpointTls.optional() });
export type HttpRequestSecrets = z.infer<typeof httpRequestSecrets>;

/** Where a Postgres source is; the password stands in `secret` with the rest of the address. */
export interface Source {
  id: number;
  workspaceId: number;
  name: string;
  type: "postgres";
  /** postgres:// address with its password, decrypted: never logged, never in an event or an error. */
  url: string;
  /** Schema of the source in which the states of its syncs stand; null or left out: they stand in our Postgres. */
  stateSchema?: string | null;
}

/** What a sync reads: one SELECT, or a table or view. */
export type SyncObject =
  | { type: "model"; modelId: number; name: string; query: string }
  | { type: "table"; schema: string; table: string };

interface AnyDestination {
  id: number;
  workspaceId: number;
  name: string;
  /** Nothing is sent until it is resumed; what comes meanwhile waits. */
  paused?: boolean;
}

export interface WebhookDestination extends AnyDestination {
  type: "webhook";
  settings: WebhookDestinationSettings;
  /** Decrypted: never logged, never in an event or an error. */
  secrets: WebhookDestinationSecrets;
}

export interface HttpRequestDestination extends AnyDestination {
  type: "http_request";
  settings: HttpRequestSettings;
  /** Decrypted: never logged, never in an event or an error. */
  secrets: HttpRequestSecrets;
}

/** A place to send rows to, of one of the kinds that there are. */
export type Destination = WebhookDestination | HttpRequestDestination;

export interface Sync {
  id: number;
  workspaceId: number;
  /** Name in the configuration, unique in the workspace. */
  name: string;
  /** sync_configuration_name of the webhook body; null when unlabelled. */
  label: string | null;
  object: SyncObject;
  operation: Operation;
  mappings: readonly Mapping[];
  options: SyncOptions;
  source: Source;
  destination: Destination;
}

/** A subscriber's endpoint. */
export interface Webhook {
  id: number;
  workspaceId: number;
  name: string;
  endpoint: string;
  events: readonly (typeof LIFECYCLE_EVENTS)[number][];
  enabled: boolean;
  createdAt: Date;
  /** Decrypted signing secret, `whsec_` and base64 of 32 bytes: never logged, never in an event or an error. */
  secret: string;
  /** The secret before a rotation, while it still signs beside the new one; as secret as that. */
  previousSecret?: string | null;
  /** Deliveries lost in a row after which it is disabled; null for never. */
  autoDisableAfterExhausted?: number | null;
  /** Whether an answer of 410 disables it. */
  disableOnGone?: boolean;
  /** Whether its Retry-After may lengthen a wait of the schedule. */
  honorRetryAfter?: boolean;
  /** How its endpoint is reached by TLS; the key in it is as secret as the signing secret. */
  tls?: EndpointTls;
  /** Nothing is sent until it is resumed; what comes meanwhile waits. */
  paused?: boolean;
}
