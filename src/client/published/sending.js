/** Sends one request, again where that is safe and can help, each time within its time. */
import { ApiError, ApiUnreachable } from "./apiError.js";
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
/** Nothing was done: whoever waits as long as asked may send it again, whatever it is. */
const TURNED_AWAY = new Set([409, 429, 503]);
/** A proxy's word for a server that did not answer. */
const NO_ANSWER = new Set([502, 503, 504]);
/** @throws ApiError, ApiUnreachable, or whatever the caller's signal was aborted with. */
export async function send(outgoing, rules) {
    for (let attempt = 1;; attempt += 1) {
        const isLast = attempt > rules.retries;
        let pauseMs = pauseBefore(attempt);
        try {
            const raw = await once(outgoing, rules);
            if (raw.status < 300)
                return receivedOf(outgoing, raw);
            const wait = isLast ? null : waitAfter(outgoing, raw, rules.maxRetryAfterMs);
            if (wait === null)
                throw errorOf(outgoing, raw);
            pauseMs = wait === 0 ? pauseMs : wait;
        }
        catch (error) {
            if (!(error instanceof ApiUnreachable) || !outgoing.isRepeatable || isLast)
                throw error;
        }
        await sleep(pauseMs, rules.signal);
    }
}
async function once({ operation, server, method, url, headers, body }, rules) {
    const { fetch, timeoutMs, signal } = rules;
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
        const answer = await fetch(url, {
            method,
            headers,
            // A token must not follow a redirect to wherever it leads.
            redirect: "error",
            signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
            ...(body === undefined ? {} : { body }),
        });
        return { status: answer.status, headers: answer.headers, text: await answer.text() };
    }
    catch (cause) {
        signal?.throwIfAborted();
        if (timeout.aborted) {
            const message = `${server} did not answer within ${timeoutMs / 1_000} s`;
            throw new ApiUnreachable(message, { operation, isTimeout: true, cause });
        }
        throw new ApiUnreachable(`${server} cannot be reached: ${reasonOf(cause)}`, { operation, cause });
    }
}
/** Node's fetch says "fetch failed" and leaves the reason to `cause`. */
function reasonOf(error) {
    const { cause } = error;
    const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
    const told = inner ?? error;
    if (!(told instanceof Error))
        return String(told);
    const { code } = told;
    return told.message === "" && typeof code === "string" ? code : told.message;
}
/** How long to wait before sending it again, ms; 0: as long as the rules say; null: do not. */
function waitAfter({ isRepeatable }, { status, headers }, longestMs) {
    const asked = retryAfterMs(headers);
    if (asked !== null && TURNED_AWAY.has(status))
        return asked <= longestMs ? asked : null;
    return status === 429 || (isRepeatable && NO_ANSWER.has(status)) ? 0 : null;
}
/** Seconds or a date (RFC 9110, 10.2.3), in ms from now. */
function retryAfterMs(headers) {
    const text = headers.get("Retry-After")?.trim() ?? "";
    if (/^\d{1,9}$/.test(text))
        return Number(text) * 1_000;
    const atMs = Date.parse(text);
    return Number.isNaN(atMs) ? null : Math.max(0, atMs - Date.now());
}
/** Longer each time, and not the same for all who were turned away together. */
function pauseBefore(attempt) {
    const wholeMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
    return wholeMs * (0.5 + Math.random() / 2);
}
function sleep(ms, signal) {
    return new Promise((resolve, reject) => {
        const abort = () => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", abort);
            resolve();
        }, ms);
        signal?.addEventListener("abort", abort, { once: true });
        if (signal?.aborted === true)
            abort();
    });
}
function receivedOf({ operation, server }, { status, headers, text }) {
    const body = jsonOf(text);
    if (body !== undefined)
        return { status, headers, body };
    const message = `${server} answers, but not with JSON: is it the address of an Egret?`;
    throw new ApiUnreachable(message, { operation });
}
function errorOf({ operation, server }, { status, headers, text }) {
    const body = jsonOf(text);
    const told = typeof body?.message === "string" && body.message !== "" ? body.message : null;
    return new ApiError({
        operation,
        server,
        status,
        message: told ?? `the API answered with HTTP ${status}`,
        errors: Array.isArray(body?.errors) ? body.errors : [],
        requestId: headers.get("X-Request-Id"),
        retryAfterMs: retryAfterMs(headers),
    });
}
function jsonOf(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        return undefined;
    }
}
