/**
 * The typed client of Egret's management API, published as `egret/client`: one method for each operation of the document.
 * It needs nothing but `fetch`, and so works in Node and in browsers.
 */
import type { CallOptions } from "./callOptions.ts";
import { OPERATIONS } from "./operations.ts";
import type { Operations } from "./schema.ts";
import { type Outgoing, send } from "./sending.ts";

export { ApiError, ApiUnreachable, type FieldError } from "./apiError.ts";
export type { CallOptions } from "./callOptions.ts";
export { each, type ListAnswer } from "./each.ts";
export type { Operations, Schemas } from "./schema.ts";

/** Name of an operation, such as `triggerSync`. */
export type OperationName = keyof Operations;

/** Where the API is, and who asks. */
export interface ClientOptions {
  /** Address of the server, such as `https://egret.example`, with or without `/api/v1`. */
  url: string;
  /** A workspace key or personal token. */
  token: string;
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch | undefined;
  /** For each attempt, ms. Default: 30,000. */
  timeoutMs?: number | undefined;
  /** Attempts after the first one, where repeating is safe. Default: 3. */
  retries?: number | undefined;
  /** The longest Retry-After that is waited for, ms. Default: 60,000. */
  maxRetryAfterMs?: number | undefined;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** An answer with what stands around it. */
export interface Answer<T> {
  status: number;
  body: T;
  headers: Headers;
  /** To be sent back as `ifMatch`. */
  etag: string | null;
  requestId: string | null;
}

/** The input can be left out where nothing of it is needed. */
type Arguments<N extends OperationName> = object extends Operations[N]["input"]
  ? [input?: Operations[N]["input"], options?: CallOptions]
  : [input: Operations[N]["input"], options?: CallOptions];

/** One method for each operation; each resolves with the body of the answer and rejects with ApiError or ApiUnreachable. */
export type Methods = {
  [N in OperationName]: (...given: Arguments<N>) => Promise<Operations[N]["answer"]>;
};

/** The client. */
export interface Client extends Methods {
  /** Calls an operation by its name, and resolves with the answer's headers too. */
  call<N extends OperationName>(name: N, ...given: Arguments<N>): Promise<Answer<Operations[N]["answer"]>>;
}

interface Input {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
}

const BASE = "/api/v1";
const DEFAULTS = { timeoutMs: 30_000, retries: 3, maxRetryAfterMs: 60_000 };
/** Doing it twice does no more than doing it once. Source: RFC 9110, 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "PUT", "DELETE"]);

/** @throws TypeError when the address or the token cannot be used. */
export function createClient(options: ClientOptions): Client {
  const base = baseOf(options.url);
  const { token } = options;
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new TypeError("the token is empty, or has characters that no token has");
  const call = async (
    name: OperationName,
    input: Input = {},
    own: CallOptions = {},
  ): Promise<Answer<unknown>> => {
    const outgoing = outgoingOf(name, { base, token, input, own, headers: options.headers ?? {} });
    const { status, headers, body } = await send(outgoing, {
      // In a browser fetch works as a method of the window only.
      fetch: options.fetch ?? ((...given) => globalThis.fetch(...given)),
      timeoutMs: own.timeoutMs ?? options.timeoutMs ?? DEFAULTS.timeoutMs,
      retries: own.retries ?? options.retries ?? DEFAULTS.retries,
      maxRetryAfterMs: options.maxRetryAfterMs ?? DEFAULTS.maxRetryAfterMs,
      signal: own.signal,
    });
    return { status, body, headers, etag: headers.get("ETag"), requestId: headers.get("X-Request-Id") };
  };
  const methods = Object.keys(OPERATIONS).map((name) => [
    name,
    async (input?: Input, own?: CallOptions) => (await call(name as OperationName, input, own)).body,
  ]);
  return { ...Object.fromEntries(methods), call } as Client;
}

function baseOf(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError("the address is none: write one such as https://egret.example");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError("the address must begin with https:// or http://");
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("the address must not hold a token or password: give the token by itself");
  }
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path.endsWith(BASE) ? path : path + BASE}`;
}

interface Given {
  base: string;
  token: string;
  input: Input;
  own: CallOptions;
  headers: Readonly<Record<string, string>>;
}

function outgoingOf(operation: OperationName, { base, token, input, own, headers }: Given): Outgoing {
  const [method, template] = OPERATIONS[operation];
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = input.path?.[name];
    if (value === undefined || value === "") throw new TypeError(`${operation} needs path.${name}`);
    return encodeURIComponent(String(value));
  });
  const key = method === "POST" ? (own.idempotencyKey ?? randomKey()) : undefined;
  return {
    operation,
    server: base.slice(0, -BASE.length),
    method,
    url: base + path + queryText(input.query ?? {}),
    headers: {
      ...headers,
      Accept: "application/json",
      Authorization: `Bearer ${token}`,
      ...(input.body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(key === undefined ? {} : { "Idempotency-Key": key }),
      ...(own.ifMatch === undefined ? {} : { "If-Match": own.ifMatch }),
    },
    body: input.body === undefined ? undefined : JSON.stringify(input.body),
    // A change under a version that was done already would be refused the second time.
    isRepeatable:
      key !== undefined || ((IDEMPOTENT.has(method) || method === "PATCH") && own.ifMatch === undefined),
  };
}

function queryText(query: Record<string, unknown>): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) pairs.append(name, String(value));
  }
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}

/** Not `randomUUID`, which browsers have on secure pages only. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
