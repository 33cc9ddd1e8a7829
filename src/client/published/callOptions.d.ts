/** What a call of the client can be told beside its input. */
/** What one call can have its own way. */
export interface CallOptions {
    signal?: AbortSignal | undefined;
    timeoutMs?: number | undefined;
    retries?: number | undefined;
    /** Of a POST: whatever is sent twice with it is done once. Left out, each call has one of its own. */
    idempotencyKey?: string | undefined;
    /** Of a change: the `etag` of what was read; a change in between is then refused with 412. */
    ifMatch?: string | undefined;
}
