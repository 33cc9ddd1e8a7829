/** The shape of a destination in egret.yaml, one for each kind, and what is kept of it: settings apart from secrets. */
import { z } from "zod";
import {
  endpointTls,
  type HttpRequestDestination,
  httpRequestSecrets,
  type WebhookDestination,
  webhookDestinationSecrets,
  webhookDestinationSettings,
} from "../domain/configuration.ts";
import { httpRequestSettings, oauthSettings, rowResultsSchema } from "../domain/httpRequestDestination.ts";

export const tlsSchema = endpointTls
  .optional()
  .describe(
    "PEM texts by ${NAME}: `ca` to trust besides the usual authorities, `client_certificate` and `client_key` to show",
  );

const results = rowResultsSchema.shape;
const rowResults = z
  .strictObject({
    results_path: results.results_path.describe(
      "where the list of results is in the answer; empty: the answer is the list",
    ),
    identifier_field: results.identifier_field.describe(
      "field of a result that holds the row's key; null: results are in the order of the rows",
    ),
    success_field: results.success_field.describe(
      "field that is true, or a status of 2xx, for a row that was taken",
    ),
    error_field: results.error_field.describe("field that says why a row was not taken"),
  })
  .optional()
  .describe("reads an answer of 2xx row by row: a row that it does not call successful was not taken");

const hook = webhookDestinationSettings.shape;
const hookSecrets = webhookDestinationSecrets.shape;

const webhookSchema = z
  .strictObject({
    type: z.literal("webhook"),
    url: hook.url.describe("where rows are sent, http:// or https://"),
    method: hook.method.describe("HTTP method"),
    use_bulk_upload: hook.use_bulk_upload.describe("several rows in one request; false: one row each"),
    wrap_data: hook.wrap_data.describe("rows inside an object with metadata; false: bare rows"),
    batch_size: hook.batch_size.describe("most rows of one request"),
    auth_token: hookSecrets.auth_token.describe(
      "sent as it stands (write `Bearer x` yourself); give it by ${NAME}",
    ),
    auth_token_header: hook.auth_token_header.describe("header that carries the token"),
    signing_secret: hookSecrets.signing_secret.describe("adds X-Signature over the body; give it by ${NAME}"),
    headers: hookSecrets.headers.describe("further headers by name; kept as secrets, give values by ${NAME}"),
    tls: tlsSchema,
    timeout_seconds: hook.timeout_seconds.describe("time a request may take, seconds"),
    parallel_requests: hook.parallel_requests.describe("most requests of one run at once"),
    rate_limit_per_second: hook.rate_limit_per_second.describe("most requests per second; null for no limit"),
    test_method: hook.test_method.describe("how the connection is tested"),
    row_results: rowResults,
  })
  .describe("rows as JSON, sent to one URL");

const http = httpRequestSettings.shape;
const httpSecrets = httpRequestSecrets.shape;
const client = oauthSettings.shape;

const oauthSchema = z
  .strictObject({
    token_url: client.token_url.describe("where access tokens are asked for"),
    client_id: client.client_id,
    client_secret: z.string().min(1).describe("give it by ${NAME}"),
    scopes: client.scopes.describe("scopes to ask for"),
    send_credentials: client.send_credentials.describe(
      "id and secret as Basic authorization, or in the form",
    ),
    header_prefix: client.header_prefix.describe("word before the token in the header Authorization"),
  })
  .optional()
  .describe("access by OAuth 2.0 client credentials");

const httpRequestSchema = z
  .strictObject({
    type: z.literal("http_request"),
    url: http.url.describe("base URL of the API, http:// or https://, without a query"),
    path: http.path.describe(
      "below the URL, may be Liquid: /contacts/{{ record['unique_id'] }} sends one row per request",
    ),
    method: http.method.describe("HTTP method for new and changed rows"),
    payload: http.payload.describe(
      "columns: every field as JSON; form: URL-encoded; empty; or a map: json, a Liquid template; field, one that holds JSON",
    ),
    delete_method: http.delete_method.describe("HTTP method for deleted rows"),
    delete_path: http.delete_path.describe("path for deleted rows; left out: `path`"),
    delete_payload: http.delete_payload.describe("payload for deleted rows"),
    batch_size: http.batch_size.describe("most rows of one request"),
    headers: httpSecrets.headers.describe("headers by name; kept as secrets, give values by ${NAME}"),
    url_parameters: httpSecrets.url_parameters.describe(
      "added to the query of each request; kept as secrets, give values by ${NAME}",
    ),
    oauth: oauthSchema,
    tls: tlsSchema,
    timeout_seconds: http.timeout_seconds.describe("time a request may take, seconds"),
    parallel_requests: http.parallel_requests.describe("most requests of one run at once"),
    requests_per_second: http.requests_per_second.describe("most requests per second; null for no limit"),
    row_results: rowResults,
  })
  .describe("rows sent to an API, one or many per request");

/** A destination of any kind. */
export const destinationSchema = z
  .discriminatedUnion("type", [webhookSchema, httpRequestSchema])
  .describe("a place to send rows to");
export type DestinationShape = z.infer<typeof destinationSchema>;
export type HttpRequestShape = z.infer<typeof httpRequestSchema>;

/** What the file declares of one destination. Holds decrypted secrets: never logged. */
export type FileDestination =
  | Pick<WebhookDestination, "name" | "type" | "settings" | "secrets">
  | Pick<HttpRequestDestination, "name" | "type" | "settings" | "secrets">;

/** The settings of a destination and its secrets, apart. */
export function toFileDestination(name: string, destination: DestinationShape): FileDestination {
  if (destination.type === "webhook") {
    const { type, auth_token, signing_secret, headers, tls, ...settings } = destination;
    return {
      name,
      type,
      settings: given(settings),
      secrets: given({ auth_token, signing_secret, headers, tls }),
    };
  }
  const { type, headers, url_parameters, oauth, tls, ...rest } = destination;
  const { client_secret, ...access } = oauth ?? { client_secret: undefined };
  const settings = oauth === undefined ? rest : { ...rest, oauth: oauthSettings.parse(access) };
  const secrets = { headers, url_parameters, oauth_client_secret: client_secret, tls };
  return { name, type, settings: given(settings), secrets: given(secrets) };
}

type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Without what was left out. */
function given<T extends object>(all: T): Given<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Given<T>;
}
