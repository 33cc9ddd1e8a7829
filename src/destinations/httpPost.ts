/** One HTTP request with a deadline: what came back, as a value. Never follows a redirect, never reads an endless body. */
import type { Dispatcher } from "undici";
import { toError } from "../domain/errors.ts";
import { OutboundRefused } from "../security/outboundGuard.ts";
import { tlsProblem } from "../security/tlsProblem.ts";

/** So much of an answer's body is kept for people to read. Source: ours; behaviour.md 6.6. */
export const BODY_EXCERPT_BYTES = 4_096;

/** So much more is read and thrown away to keep the connection for the next request; a longer body costs the connection. */
const DISCARD_BYTES = 65_536;

/** One request. */
export interface HttpRequest {
  /** http or https; vetted by the caller. */
  url: string;
  method: "POST" | "PUT" | "PATCH" | "HEAD";
  headers: Record<string, string>;
  body: Uint8Array | null;
  /** Covers DNS, connect, TLS, send and the wait for status and headers; reading the body stops at the same moment. */
  timeoutMs: number;
  /** The pool that makes and keeps connections. */
  dispatcher: Dispatcher;
  /** Aborting makes `post` throw the signal's reason: a shutdown is no answer. */
  signal?: AbortSignal | undefined;
}

/** When a request started and how long it took. */
export interface Timing {
  startedAt: Date;
  durationMs: number;
}

/** An answer with a status line in time, or none. `error` names the cause and holds no address, header or body. */
export type HttpResult =
  | (Timing & {
      kind: "response";
      httpStatus: number;
      headers: Record<string, string | string[] | undefined>;
      bodyExcerpt: string;
    })
  | (Timing & { kind: "failed"; error: string; timedOut: boolean });

const CAUSES: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection reset",
  ENOTFOUND: "host name not found",
  EAI_AGAIN: "host name could not be looked up",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "connection timed out",
  UND_ERR_CONNECT_TIMEOUT: "connection timed out",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_SOCKET: "connection closed before an answer",
};

/** By code only: a driver's message may quote what was sent or the address. */
function causeOf(thrown: unknown): string {
  const error = toError(thrown);
  if (error instanceof OutboundRefused) return error.message;
  const tls = tlsProblem(error);
  if (tls !== null) return tls;
  const code = (error as { code?: unknown }).code ?? (error.cause as { code?: unknown } | undefined)?.code;
  if (error.name === "HTTPParserError") return "the answer was not HTTP";
  if (typeof code !== "string") return "the request failed";
  return CAUSES[code] ?? `the request failed (${code})`;
}

async function readExcerpt(body: Dispatcher.ResponseData["body"], signal: AbortSignal): Promise<string> {
  const kept: Buffer[] = [];
  let bytes = 0;
  // Reading stops at the deadline; the status line stands, however slow the body is.
  const stop = (): void => void body.destroy();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (bytes < BODY_EXCERPT_BYTES) kept.push(chunk.subarray(0, BODY_EXCERPT_BYTES - bytes));
      bytes += chunk.length;
      if (bytes > BODY_EXCERPT_BYTES + DISCARD_BYTES) break;
    }
  } catch {
    // A body that breaks off changes nothing about the answer.
  } finally {
    signal.removeEventListener("abort", stop);
  }
  return Buffer.concat(kept).toString("utf8");
}

/**
 * Sends one request and waits for its answer.
 * @throws the signal's reason when it is aborted before there is an answer; nothing else.
 */
export async function post(request: HttpRequest): Promise<HttpResult> {
  const { dispatcher, timeoutMs, signal } = request;
  signal?.throwIfAborted();
  const url = new URL(request.url);
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const stop = (): void => deadline.abort();
  signal?.addEventListener("abort", stop, { once: true });
  const startedAt = new Date();
  const start = performance.now();
  const timing = (): Timing => ({ startedAt, durationMs: performance.now() - start });
  try {
    const response = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: request.method,
      headers: request.headers,
      body: request.body,
      signal: deadline.signal,
      // The deadline above is the only clock: the pool's own would start at another moment.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    // Measured here: how long the answer took, not its body.
    const answered = timing();
    const bodyExcerpt = await readExcerpt(response.body, deadline.signal);
    return {
      kind: "response",
      httpStatus: response.statusCode,
      headers: response.headers,
      bodyExcerpt,
      ...answered,
    };
  } catch (thrown) {
    signal?.throwIfAborted();
    const timedOut = deadline.signal.aborted;
    const error = timedOut ? `no answer within ${timeoutMs / 1000} s` : causeOf(thrown);
    return { kind: "failed", error, timedOut, ...timing() };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
