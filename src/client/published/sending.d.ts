/** A request as it goes out. */
export interface Outgoing {
    operation: string;
    /** As messages name it. */
    server: string;
    method: string;
    url: string;
    headers: Record<string, string>;
    body: string | undefined;
    /** Whether doing it twice does no more than doing it once. */
    isRepeatable: boolean;
}
/** How long and how often. */
export interface Rules {
    fetch: typeof globalThis.fetch;
    /** For each attempt, its answer included. */
    timeoutMs: number;
    /** Attempts after the first one. */
    retries: number;
    /** A longer Retry-After is not waited for. */
    maxRetryAfterMs: number;
    signal: AbortSignal | undefined;
}
/** What came back with a status of success. */
export interface Received {
    status: number;
    headers: Headers;
    body: unknown;
}
/** @throws ApiError, ApiUnreachable, or whatever the caller's signal was aborted with. */
export declare function send(outgoing: Outgoing, rules: Rules): Promise<Received>;
