/**
 * The typed client of Egret's management API, published as `egret/client`: one method for each operation of the document.
 * It needs nothing but `fetch`, and so works in Node and in browsers.
 */
import type { CallOptions } from "./callOptions.js";
import type { Operations } from "./schema.js";
export { ApiError, ApiUnreachable, type FieldError } from "./apiError.js";
export type { CallOptions } from "./callOptions.js";
export { each, type ListAnswer } from "./each.js";
export type { Operations, Schemas } from "./schema.js";
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
type Arguments<N extends OperationName> = object extends Operations[N]["input"] ? [input?: Operations[N]["input"], options?: CallOptions] : [input: Operations[N]["input"], options?: CallOptions];
/** One method for each operation; each resolves with the body of the answer and rejects with ApiError or ApiUnreachable. */
export type Methods = {
    [N in OperationName]: (...given: Arguments<N>) => Promise<Operations[N]["answer"]>;
};
/** The client. */
export interface Client extends Methods {
    /** Calls an operation by its name, and resolves with the answer's headers too. */
    call<N extends OperationName>(name: N, ...given: Arguments<N>): Promise<Answer<Operations[N]["answer"]>>;
}
/** @throws TypeError when the address or the token cannot be used. */
export declare function createClient(options: ClientOptions): Client;
