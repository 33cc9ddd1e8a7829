/** The webhook destination: batches by POST to one URL, judged by the status of the answer. */
import type { Destination } from "../domain/configuration.ts";
import { parseRetryAfter } from "../domain/retryPolicy.ts";
import { signBody } from "../security/signature.ts";
import {
  type BatchRequest,
  type DestinationSender,
  dispatcherOf,
  type Pools,
  type SendResult,
  type TestResult,
} from "./destination.ts";
import { type HttpRequest, type HttpResult, post } from "./httpPost.ts";

/** A connection test has this long, ms. Source: ours; behaviour.md 5.2. */
const TEST_TIMEOUT_MS = 10_000;

/** So many characters of an answer stand in a row's status message. Source: ours; behaviour.md 12.5. */
const MESSAGE_CHARACTERS = 500;

const EMPTY = new Uint8Array(0);

/** What a sender needs from outside. */
export interface WebhookSenderOptions extends Pools {
  /** Egret's version, for User-Agent. */
  version: string;
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function headersFor(destination: Destination, body: Uint8Array, version: string): Record<string, string> {
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
function secretHeadersOf({ settings, secrets }: Destination): string[] {
  const names = Object.keys(secrets.headers ?? {});
  if (secrets.auth_token !== undefined) names.push(settings.auth_token_header);
  return names.map((name) => name.toLowerCase());
}

/** First of possibly several values of a header. */
function single(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** What an answer, or none, means for the batch. Source: behaviour.md 5.8 and 12.2. */
export function judge(result: HttpResult): SendResult {
  const { startedAt, durationMs, exchange } = result;
  const timing = { startedAt, durationMs, exchange };
  if (result.kind === "failed") {
    const { error } = result;
    return {
      kind: "retryable",
      httpStatus: null,
      error,
      statusMessage: error,
      retryAfterMs: null,
      rateLimited: false,
      ...timing,
    };
  }
  const { httpStatus } = result;
  if (httpStatus >= 200 && httpStatus < 300) return { kind: "accepted", httpStatus, ...timing };
  const error = `HTTP ${httpStatus}`;
  // Half a surrogate pair is no character.
  const excerpt = result.bodyExcerpt.slice(0, MESSAGE_CHARACTERS).toWellFormed();
  const statusMessage = excerpt === "" ? error : `${error}: ${excerpt}`;
  if (httpStatus !== 429 && httpStatus < 500)
    return { kind: "refused", httpStatus, error, statusMessage, ...timing };
  const retryAfterMs = parseRetryAfter(single(result.headers["retry-after"]), new Date());
  return {
    kind: "retryable",
    httpStatus,
    error,
    statusMessage,
    retryAfterMs,
    rateLimited: httpStatus === 429,
    ...timing,
  };
}

/** Exactly 200, whatever a real batch would accept. Source: seed; behaviour.md 5.2. */
function verdict(result: HttpResult): TestResult {
  if (result.kind === "failed") {
    return {
      ok: false,
      httpStatus: null,
      message: `The destination did not answer the test: ${result.error}.`,
    };
  }
  const { httpStatus } = result;
  if (httpStatus === 200)
    return { ok: true, httpStatus, message: "The destination answered the test with HTTP 200." };
  return {
    ok: false,
    httpStatus,
    message: `The destination answered the test with HTTP ${httpStatus}; HTTP 200 is expected.`,
  };
}

/** Sends to webhook destinations through one pool of connections. */
export function createWebhookSender({ version, ...pools }: WebhookSenderOptions): DestinationSender {
  const common = (destination: Destination, body: Uint8Array, signal: AbortSignal | undefined) => ({
    url: destination.settings.url,
    headers: headersFor(destination, body, version),
    secretHeaders: secretHeadersOf(destination),
    dispatcher: dispatcherOf(pools, destination.secrets.tls),
    signal,
  });

  async function sendBatch(destination: Destination, request: BatchRequest): Promise<SendResult> {
    const { body, idempotencyKey, traceparent, signal } = request;
    const shared = common(destination, body, signal);
    const { method, timeout_seconds: timeoutSeconds } = destination.settings;
    return judge(
      await post({
        ...shared,
        method,
        headers: {
          ...shared.headers,
          "idempotency-key": idempotencyKey,
          ...(traceparent === undefined ? {} : { traceparent }),
        },
        body,
        timeoutMs: timeoutSeconds * 1000,
      }),
    );
  }

  async function testConnection(destination: Destination, signal?: AbortSignal): Promise<TestResult> {
    const shared = common(destination, EMPTY, signal);
    const attempt = async (method: HttpRequest["method"]): Promise<TestResult> =>
      verdict(
        await post({ ...shared, method, body: method === "HEAD" ? null : EMPTY, timeoutMs: TEST_TIMEOUT_MS }),
      );
    if (destination.settings.test_method === "head_then_post") {
      const head = await attempt("HEAD");
      if (head.ok) return head;
    }
    return attempt("POST");
  }

  return { sendBatch, testConnection };
}
