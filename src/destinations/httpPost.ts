/** One HTTP request with a deadline: what came back, as a value. Never follows a redirect, never reads an endless body. */
import { type Dispatcher, errors } from "undici";
import { type ConnectSteps, connectionBegunBy, takeHandedOver } from "../security/connectSteps.ts";
import { redactUrl } from "../security/redact.ts";
import {
  type Exchange,
  hideSecretHeaders,
  readableText,
  type ShownHeaders,
  showResponseHeaders,
  withoutSecrets,
} from "./exchange.ts";
import { failureCause } from "./failureCause.ts";

/** So much of an answer's body is kept for people to read. Source: ours; behaviour.md 6.6. */
export const BODY_EXCERPT_BYTES = 4_096;

/** So much more is read and thrown away to keep the connection for the next request; a longer body costs the connection. */
const DISCARD_BYTES = 65_536;

/** A server that says 103 for ever would keep this process busy until the deadline. */
const MAX_ANNOUNCEMENTS = 32;

/** One request. */
export interface HttpRequest {
  /** http or https; vetted by the caller. */
  url: string;
  method: "POST" | "PUT" | "PATCH" | "DELETE" | "GET" | "HEAD";
  headers: Record<string, string>;
  /** Names, in lower case, of headers that hold secrets by configuration, besides those that always do. */
  secretHeaders?: readonly string[];
  /** Secrets that stand elsewhere in the request, such as in its URL: taken out of an answer that repeats them. */
  secretValues?: readonly string[];
  /** The whole answer is given if it is no longer than this, bytes; left out: only its beginning. */
  wholeBodyBytes?: number | undefined;
  body: Uint8Array | null;
  /** Covers DNS, connect, TLS, send and the wait for status and headers; reading the body stops at the same moment. */
  timeoutMs: number;
  /** The pool that makes and keeps connections. */
  dispatcher: Dispatcher;
  /** Aborting makes `post` throw the signal's reason: a shutdown is no answer. */
  signal?: AbortSignal | undefined;
}

/** When a request started and how long its answer took. */
export interface Timing {
  startedAt: Date;
  durationMs: number;
}

/** An answer with a status line in time, or none. `error` names the cause and holds no address, header or body. */
export type HttpResult = Timing & { exchange: Exchange } & (
    | {
        kind: "response";
        httpStatus: number;
        headers: Record<string, string | string[] | undefined>;
        bodyExcerpt: string;
        /** Null when it was not asked for, was too long, or broke off. Not for people: secrets may be in it. */
        body: Buffer | null;
      }
    | { kind: "failed"; error: string; timedOut: boolean }
  );

/**
 * Sends one request and waits for its answer.
 * @throws the signal's reason when it is aborted before there is an answer; nothing else.
 */
export function post(request: HttpRequest): Promise<HttpResult> {
  const { dispatcher, signal } = request;
  if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
  const { origin, path } = partsOf(request.url);
  const { promise, resolve, reject } = Promise.withResolvers<HttpResult>();
  const call = new Call(request, resolve, reject);
  const options: Dispatcher.DispatchOptions = {
    origin,
    path,
    method: request.method,
    headers: request.headers,
    body: request.body,
    // The call's deadline is the only clock: the pool's own would start at another moment.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  call.steps = connectionBegunBy(() => dispatcher.dispatch(options, call)) ?? call.steps;
  return promise;
}

/** URLs are few and calls are many. */
const recentParts = new Map<string, { origin: string; path: string; shown: string }>();
const MAX_RECENT_PARTS = 1_000;

function partsOf(text: string): { origin: string; path: string; shown: string } {
  const known = recentParts.get(text);
  if (known !== undefined) return known;
  if (recentParts.size >= MAX_RECENT_PARTS) recentParts.clear();
  const url = new URL(text);
  const parts = { origin: url.origin, path: `${url.pathname}${url.search}`, shown: redactUrl(text) };
  recentParts.set(text, parts);
  return parts;
}

/** One constant: undici wants an error to abort with, and nobody ever reads it. */
const STOPPED = new errors.RequestAbortedError();

/**
 * One request under way, as undici's handler. A stream for the body, and an AbortController for the deadline, would
 * cost more than the request itself: thousands of these pass through one thread each second.
 */
class Call implements Dispatcher.DispatchHandler {
  /** Of the connection that was opened for this call; null for a kept one. */
  steps: ConnectSteps | null = null;
  readonly #request: HttpRequest;
  readonly #resolve: (result: HttpResult) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #startedAt = new Date();
  readonly #start = performance.now();
  readonly #deadline: NodeJS.Timeout;
  readonly #onAbort: (() => void) | null;
  #controller: Dispatcher.DispatchController | null = null;
  #isDone = false;
  #httpStatus: number | null = null;
  #headers: Record<string, string | string[] | undefined> = {};
  #announcements = 0;
  #answeredMs = 0;
  #kept: Buffer[] = [];
  #bytes = 0;
  #isWhole = false;

  constructor(
    request: HttpRequest,
    resolve: (result: HttpResult) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#deadline = setTimeout(Call.expire, request.timeoutMs, this);
    this.#onAbort = request.signal === undefined ? null : () => this.#stop(true);
    if (this.#onAbort !== null) request.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  static expire(this: void, call: Call): void {
    call.#stop(false);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.steps ??= takeHandedOver();
    this.#controller = controller;
    // Whoever gave up while the connection was made must not have the request sent after all.
    if (this.#isDone) controller.abort(STOPPED);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#isDone) return;
    // 1xx announces the answer, it is none.
    if (statusCode < 200) {
      this.#announcements += 1;
      if (this.#announcements <= MAX_ANNOUNCEMENTS) return;
      this.#finish({ error: "the answer was announced (HTTP 1xx) again and again", timedOut: false });
      controller.abort(STOPPED);
      return;
    }
    this.#controller = controller;
    this.#answeredMs = performance.now() - this.#start;
    this.#httpStatus = statusCode;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isDone) return;
    // Copied: the piece may be a window on a far larger buffer.
    const most = this.#request.wholeBodyBytes ?? BODY_EXCERPT_BYTES;
    if (this.#bytes < most) this.#kept.push(Buffer.from(chunk.subarray(0, most - this.#bytes)));
    this.#bytes += chunk.length;
    if (this.#bytes <= most + DISCARD_BYTES) return;
    this.#finish(null);
    controller.abort(STOPPED);
  }

  onResponseEnd(): void {
    this.#isWhole = true;
    this.#finish(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.steps ??= takeHandedOver();
    // A body that breaks off changes nothing about the answer.
    this.#finish(this.#httpStatus === null ? { error: failureCause(error), timedOut: false } : null);
  }

  /** The deadline, or whoever called. With a status line in time there is an answer, however slow its body is. */
  #stop(isAborted: boolean): void {
    if (this.#isDone) return;
    const { timeoutMs, signal } = this.#request;
    if (this.#httpStatus !== null) this.#finish(null);
    else if (!isAborted) this.#finish({ error: `no answer within ${timeoutMs / 1000} s`, timedOut: true });
    else {
      this.#end();
      this.#reject(signal?.reason);
    }
    this.#controller?.abort(STOPPED);
  }

  #end(): void {
    this.#isDone = true;
    clearTimeout(this.#deadline);
    if (this.#onAbort !== null) this.#request.signal?.removeEventListener("abort", this.#onAbort);
  }

  #finish(failure: { error: string; timedOut: boolean } | null): void {
    if (this.#isDone) return;
    this.#end();
    const totalMs = performance.now() - this.#start;
    const startedAt = this.#startedAt;
    const shown = hideSecretHeaders(this.#request.headers, this.#request.secretHeaders ?? []);
    if (this.#request.secretValues !== undefined) shown.secrets.push(...this.#request.secretValues);
    if (failure !== null || this.#httpStatus === null) {
      const { error, timedOut } = failure ?? { error: "the request failed", timedOut: false };
      const exchange = this.#exchange(shown, { totalMs, bodyExcerpt: null, error });
      this.#resolve({ kind: "failed", error, timedOut, startedAt, durationMs: totalMs, exchange });
      return;
    }
    const [first] = this.#kept;
    const body = this.#kept.length === 1 && first !== undefined ? first : Buffer.concat(this.#kept);
    const excerpt = body.subarray(0, BODY_EXCERPT_BYTES);
    const bodyExcerpt = excerpt.length === 0 ? "" : withoutSecrets(readableText(excerpt), shown.secrets);
    const { wholeBodyBytes = -1 } = this.#request;
    this.#resolve({
      kind: "response",
      httpStatus: this.#httpStatus,
      headers: this.#headers,
      bodyExcerpt,
      body: this.#isWhole && this.#bytes <= wholeBodyBytes ? body : null,
      startedAt,
      // How long the answer took, not its body.
      durationMs: this.#answeredMs,
      exchange: this.#exchange(shown, { totalMs, bodyExcerpt, error: null }),
    });
  }

  #exchange(
    shown: ShownHeaders,
    { totalMs, bodyExcerpt, error }: { totalMs: number; bodyExcerpt: string | null; error: string | null },
  ): Exchange {
    const { steps } = this;
    const isAnswered = bodyExcerpt !== null;
    const { method, url } = this.#request;
    return {
      call: {
        method,
        url: partsOf(url).shown,
        httpStatus: isAnswered ? this.#httpStatus : null,
        error,
      },
      requestHeaders: shown.headers,
      responseHeaders: isAnswered ? showResponseHeaders(this.#headers, shown.secrets) : null,
      responseBody: bodyExcerpt,
      split: {
        dnsMs: steps?.dnsMs ?? null,
        connectMs: steps?.connectMs ?? null,
        tlsMs: steps?.tlsMs ?? null,
        firstByteMs: isAnswered ? this.#answeredMs : null,
        totalMs,
      },
    };
  }
}
