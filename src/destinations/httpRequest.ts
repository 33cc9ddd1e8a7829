/** The http_request destination: any API that takes rows by HTTP, with headers, URL parameters or OAuth for access. */
import type { HttpRequestDestination } from "../domain/configuration.ts";
import { joinUrl } from "../domain/requestPath.ts";
import {
  type BatchRequest,
  type DestinationSender,
  dispatcherOf,
  type SenderOptions,
  type SendResult,
  type StoredRequest,
  type TestResult,
} from "./destination.ts";
import { type HttpRequest, type HttpResult, post } from "./httpPost.ts";
import { OauthTokens } from "./oauthTokens.ts";
import { MAX_RESULTS_BYTES } from "./rowResults.ts";
import { judge, testVerdict } from "./verdict.ts";

/** A connection test has this long, ms. Source: ours; behaviour.md 5.2. */
const TEST_TIMEOUT_MS = 10_000;

/** The base of an API seldom has a page of its own: whoever answers, and lets us in, is there. Source: ours. */
const PASSES = {
  passes: (httpStatus: number) => httpStatus < 500 && httpStatus !== 401 && httpStatus !== 403,
  words: "an answer below 500 other than 401 and 403",
};

/** Sends to destinations of this kind through one pool of connections. */
export function createHttpRequestSender(options: SenderOptions): DestinationSender<HttpRequestDestination> {
  const { version } = options;
  const tokens = new OauthTokens(options);

  /** Sends with a token where one is needed; a refused one is replaced once. */
  async function send(
    destination: HttpRequestDestination,
    request: Omit<HttpRequest, "dispatcher" | "secretHeaders" | "secretValues">,
  ): Promise<HttpResult | Exclude<SendResult, { kind: "accepted" }>> {
    const { oauth } = destination.settings;
    const { signal } = request;
    const attempt = (authorization: Record<string, string>): Promise<HttpResult> =>
      post({
        ...request,
        headers: { ...request.headers, ...authorization },
        ...secretsOf(destination),
        // Asked for anew: a pool of its own may have been closed while a token was fetched.
        dispatcher: dispatcherOf(options, destination.secrets.tls),
      });
    if (oauth === undefined) return attempt({});
    const bearer = (token: string) => ({ authorization: `${oauth.header_prefix} ${token}`.trimStart() });
    const first = await tokens.get(destination, oauth, { signal });
    if (!first.ok) return first.result;
    const answer = await attempt(bearer(first.token));
    if (answer.kind === "failed" || answer.httpStatus !== 401) return answer;
    const second = await tokens.get(destination, oauth, { refused: first.token, signal });
    if (!second.ok) return second.result;
    return second.token === first.token ? answer : attempt(bearer(second.token));
  }

  async function sendBatch(destination: HttpRequestDestination, batch: BatchRequest): Promise<SendResult> {
    const { timeout_seconds: timeoutSeconds, row_results: rowResults } = destination.settings;
    const request = batch.request ?? plainRequest(destination);
    const { contentType } = request;
    const answer = await send(destination, {
      url: urlOf(destination, request.path),
      method: request.method,
      headers: {
        ...ownHeaders(destination),
        ...(contentType === null ? {} : { "content-type": contentType }),
        "user-agent": `egret/${version}`,
        "idempotency-key": batch.idempotencyKey,
        ...(batch.traceparent === undefined ? {} : { traceparent: batch.traceparent }),
      },
      body: contentType === null ? null : batch.body,
      timeoutMs: timeoutSeconds * 1000,
      signal: batch.signal,
      wholeBodyBytes: rowResults === undefined ? undefined : MAX_RESULTS_BYTES,
    });
    if (answer.kind !== "response" && answer.kind !== "failed") return answer;
    return judge(
      answer,
      rowResults === undefined
        ? undefined
        : { settings: rowResults, keys: batch.keys ?? [], sent: batch.body },
    );
  }

  async function testConnection(
    destination: HttpRequestDestination,
    signal?: AbortSignal,
  ): Promise<TestResult> {
    const answer = await send(destination, {
      url: urlOf(destination, ""),
      method: "HEAD",
      headers: { ...ownHeaders(destination), "user-agent": `egret/${version}` },
      body: null,
      timeoutMs: TEST_TIMEOUT_MS,
      signal,
    });
    if (answer.kind === "response" || answer.kind === "failed") return testVerdict(answer, PASSES);
    return { ok: false, httpStatus: answer.httpStatus, message: `The test was not sent: ${answer.error}.` };
  }

  return { sendBatch, testConnection };
}

/** For a batch that was planned while the destination was of another kind. */
function plainRequest({ settings }: HttpRequestDestination): StoredRequest {
  return { method: settings.method, path: "", contentType: "application/json; charset=utf-8" };
}

function ownHeaders({ secrets }: HttpRequestDestination): Record<string, string> {
  return Object.fromEntries(
    Object.entries(secrets.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

function secretsOf({ secrets }: HttpRequestDestination): Pick<HttpRequest, "secretHeaders" | "secretValues"> {
  const parameters = Object.values(secrets.url_parameters ?? {}).filter((value) => value.length >= 8);
  return {
    secretHeaders: Object.keys(secrets.headers ?? {}).map((name) => name.toLowerCase()),
    // A receiver may repeat its URL, in which they stand encoded.
    secretValues: parameters.flatMap((value) => [value, encodeURIComponent(value)]),
  };
}

/** With the URL parameters, which may be secrets: shown to nobody. */
function urlOf({ settings, secrets }: HttpRequestDestination, path: string): string {
  const url = joinUrl(settings.url, path);
  const query = new URLSearchParams(secrets.url_parameters ?? {}).toString();
  if (query === "") return url;
  return `${url}${url.includes("?") ? "&" : "?"}${query}`;
}
