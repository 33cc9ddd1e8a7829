/** The webhook destination: batches by POST to one URL, judged by the status of the answer. */
import type { WebhookDestination } from "../domain/configuration.ts";
import { signBody } from "../security/signature.ts";
import {
  type BatchRequest,
  type DestinationSender,
  dispatcherOf,
  type SenderOptions,
  type SendResult,
  type TestResult,
} from "./destination.ts";
import { type HttpRequest, post } from "./httpPost.ts";
import { MAX_RESULTS_BYTES } from "./rowResults.ts";
import { judge, testVerdict } from "./verdict.ts";

/** A connection test has this long, ms. Source: ours; behaviour.md 5.2. */
const TEST_TIMEOUT_MS = 10_000;

const EMPTY = new Uint8Array(0);

/** Exactly 200, whatever a real batch would accept. Source: seed; behaviour.md 5.2. */
const PASSES = { passes: (httpStatus: number) => httpStatus === 200, words: "HTTP 200" };

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function headersFor(
  destination: WebhookDestination,
  body: Uint8Array,
  version: string,
): Record<string, string> {
  const { auth_token: token, signing_secret: secret } = destination.secrets;
  const headers: Record<string, string> = {
    ...lowerCased(destination.secrets.headers ?? {}),
    "content-type": "application/json; charset=utf-8",
    "user-agent": `egret/${version}`,
  };
  // Verbatim: whoever wants `Bearer` writes it. Source: docs; behaviour.md 5.1.
  if (token !== undefined) headers[destination.settings.auth_token_header.toLowerCase()] = token;
  if (secret !== undefined) headers["x-signature"] = signBody(secret, body);
  return headers;
}

/** Names of the headers that hold what was configured as a secret. */
function secretHeadersOf({ settings, secrets }: WebhookDestination): string[] {
  const names = Object.keys(secrets.headers ?? {});
  if (secrets.auth_token !== undefined) names.push(settings.auth_token_header);
  return names.map((name) => name.toLowerCase());
}

/** Sends to webhook destinations through one pool of connections. */
export function createWebhookSender({
  version,
  ...pools
}: SenderOptions): DestinationSender<WebhookDestination> {
  const common = (destination: WebhookDestination, body: Uint8Array, signal: AbortSignal | undefined) => ({
    url: destination.settings.url,
    headers: headersFor(destination, body, version),
    secretHeaders: secretHeadersOf(destination),
    dispatcher: dispatcherOf(pools, destination.secrets.tls),
    signal,
  });

  async function sendBatch(destination: WebhookDestination, request: BatchRequest): Promise<SendResult> {
    const { body, idempotencyKey, traceparent, signal, keys = [] } = request;
    const shared = common(destination, body, signal);
    const { method, timeout_seconds: timeoutSeconds, row_results: rowResults } = destination.settings;
    const answer = await post({
      ...shared,
      method,
      headers: {
        ...shared.headers,
        "idempotency-key": idempotencyKey,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
      body,
      timeoutMs: timeoutSeconds * 1000,
      wholeBodyBytes: rowResults === undefined ? undefined : MAX_RESULTS_BYTES,
    });
    return judge(answer, rowResults === undefined ? undefined : { settings: rowResults, keys, sent: body });
  }

  async function testConnection(destination: WebhookDestination, signal?: AbortSignal): Promise<TestResult> {
    const shared = common(destination, EMPTY, signal);
    const attempt = async (method: HttpRequest["method"]): Promise<TestResult> =>
      testVerdict(
        await post({ ...shared, method, body: method === "HEAD" ? null : EMPTY, timeoutMs: TEST_TIMEOUT_MS }),
        PASSES,
      );
    if (destination.settings.test_method === "head_then_post") {
      const head = await attempt("HEAD");
      if (head.ok) return head;
    }
    return attempt("POST");
  }

  return { sendBatch, testConnection };
}
