import { OPERATIONS } from "./operations.js";
import { send } from "./sending.js";
export { ApiError, ApiUnreachable } from "./apiError.js";
export { each } from "./each.js";
const BASE = "/api/v1";
const DEFAULTS = { timeoutMs: 30_000, retries: 3, maxRetryAfterMs: 60_000 };
/** Doing it twice does no more than doing it once. Source: RFC 9110, 9.2.2. */
const IDEMPOTENT = new Set(["GET", "PUT", "DELETE"]);
/** @throws TypeError when the address or the token cannot be used. */
export function createClient(options) {
    const base = baseOf(options.url);
    const { token } = options;
    if (!/^[\x21-\x7e]+$/.test(token))
        throw new TypeError("the token is empty, or has characters that no token has");
    const call = async (name, input = {}, own = {}) => {
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
        async (input, own) => (await call(name, input, own)).body,
    ]);
    return { ...Object.fromEntries(methods), call };
}
function baseOf(text) {
    let url;
    try {
        url = new URL(text);
    }
    catch {
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
function outgoingOf(operation, { base, token, input, own, headers }) {
    const [method, template] = OPERATIONS[operation];
    const path = template.replace(/\{(\w+)\}/g, (_, name) => {
        const value = input.path?.[name];
        if (value === undefined || value === "")
            throw new TypeError(`${operation} needs path.${name}`);
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
        isRepeatable: key !== undefined || ((IDEMPOTENT.has(method) || method === "PATCH") && own.ifMatch === undefined),
    };
}
function queryText(query) {
    const pairs = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
        if (value !== undefined && value !== null)
            pairs.append(name, String(value));
    }
    const text = pairs.toString();
    return text === "" ? "" : `?${text}`;
}
/** Not `randomUUID`, which browsers have on secure pages only. */
function randomKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
