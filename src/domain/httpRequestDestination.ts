/** Settings and secrets of a destination of type http_request: any API that takes rows by HTTP (behaviour.md 5.9). */
import { z } from "zod";

/** Methods that a request can have. Source: docs; behaviour.md 5.9. */
export const HTTP_METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET"] as const;
export type HttpMethod = (typeof HTTP_METHODS)[number];

/**
 * What stands in the body: every field of the record, as JSON or URL-encoded; nothing; JSON by a Liquid template; or
 * one field that holds the JSON.
 */
export const payloadSchema = z.union([
  z.enum(["columns", "form", "empty"]),
  z.strictObject({ json: z.string().min(1) }),
  z.strictObject({ field: z.string().min(1) }),
]);
export type Payload = z.infer<typeof payloadSchema>;

/** A path below the base URL, which may be a Liquid template. */
const pathSchema = z
  .string()
  .max(8_192)
  .regex(/^(\/[^\s#\\]|\/$|\?|$)|\{/, { error: "A path begins with / and holds no space and no #." });

/** How an answer speaks of each row (behaviour.md 11.2). A row that is not called successful is not. */
export const rowResultsSchema = z.strictObject({
  results_path: z
    .string()
    .regex(/^([^.\s]+(\.[^.\s]+)*)?$/, {
      error: "Write names with dots between them, as in result.record_results.",
    })
    .default("record_results"),
  identifier_field: z.string().min(1).nullable().default("identifier"),
  success_field: z.string().min(1).default("success"),
  error_field: z.string().min(1).default("error_message"),
});
export type RowResults = z.infer<typeof rowResultsSchema>;

/** Access by OAuth 2.0 client credentials (RFC 6749, 4.4); the client's secret stands with the secrets. */
export const oauthSettings = z.strictObject({
  token_url: z.url({ protocol: /^https?$/ }),
  client_id: z.string().min(1).max(1_000),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/))
    .max(100)
    .default([]),
  send_credentials: z.enum(["header", "body"]).default("header"),
  header_prefix: z
    .string()
    .regex(/^[A-Za-z0-9._~-]*$/)
    .max(50)
    .default("Bearer"),
});
export type OauthSettings = z.infer<typeof oauthSettings>;

/** Non-secret settings. */
export const httpRequestSettings = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  path: pathSchema.default(""),
  method: z.enum(HTTP_METHODS).default("POST"),
  payload: payloadSchema.default("columns"),
  delete_method: z.enum(HTTP_METHODS).default("DELETE"),
  delete_path: pathSchema.optional(),
  delete_payload: payloadSchema.default("empty"),
  batch_size: z.int().min(1).max(10_000).default(1),
  requests_per_second: z.int().min(1).nullable().default(30),
  parallel_requests: z.int().min(1).max(50).default(4),
  timeout_seconds: z.int().min(1).max(120).default(30),
  oauth: oauthSettings.optional(),
  row_results: rowResultsSchema.optional(),
});
export type HttpRequestSettings = z.infer<typeof httpRequestSettings>;

/** Secrets: stored encrypted, never shown again. TLS settings are added where those are defined. */
export const httpRequestSecretsShape = {
  /** Headers by name; their values are as secret as a token. */
  headers: z.record(z.string().min(1), z.string()).optional(),
  /** Added to the query of each request. */
  url_parameters: z.record(z.string().min(1).max(200), z.string().max(4_096)).optional(),
  oauth_client_secret: z.string().min(1).optional(),
};
