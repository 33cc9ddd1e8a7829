/** What the runtime asks of a kind of destination: send one batch, test the connection. Expected outcomes are values. */
import type { Dispatcher } from "undici";
import type { Destination, EndpointTls } from "../domain/configuration.ts";
import type { HttpMethod } from "../domain/httpRequestDestination.ts";
import type { Exchange } from "./exchange.ts";
import type { Timing } from "./httpPost.ts";

/** What of a request was made from its rows beside the body, and is stored with it (I9). */
export interface StoredRequest {
  method: HttpMethod;
  /** Below the base URL, with a query if it has one. */
  path: string;
  /** Null when there is no body. */
  contentType: string | null;
}

/** One batch as it goes out. */
export interface BatchRequest {
  /** The exact bytes of the plan, sent as they are (I9). */
  body: Uint8Array;
  /** Method, path and content type that were made with the body; null where the settings alone decide them. */
  request?: StoredRequest | null;
  /** Keys of the rows in the body, in their order; only where the answer is read row by row. */
  keys?: readonly string[];
  /** The same at each attempt (I5). */
  idempotencyKey: string;
  /** Goes out as the header of that name; not signed. */
  traceparent?: string | undefined;
  /** Aborting throws: shutdown is no outcome. */
  signal?: AbortSignal;
}

/**
 * What the destination made of a batch. `error` is for the log and names the status or the network's complaint;
 * `statusMessage` also quotes the answer's first characters and belongs in Postgres only (I11).
 */
export type SendResult = Timing & { exchange: Exchange } & (
    | {
        kind: "accepted";
        httpStatus: number;
        /** Where the answer speaks of each row: why it was not taken, or null, in the order of the keys. In Postgres only. */
        rowErrors?: (string | null)[];
      }
    | { kind: "refused"; httpStatus: number; error: string; statusMessage: string }
    | {
        kind: "retryable";
        httpStatus: number | null;
        error: string;
        statusMessage: string;
        /** What the destination asked for; null when it did not. */
        retryAfterMs: number | null;
        /** 429: too many requests, nothing wrong with this one. */
        rateLimited: boolean;
      }
  );

/** Where connections to targets come from. */
export interface Pools {
  dispatcher: Dispatcher;
  /** The pool of an endpoint with TLS settings of its own. */
  dispatcherFor?: (tls: EndpointTls) => Dispatcher;
}

/**
 * The pool for an endpoint.
 * @throws when it has TLS settings and nothing was given to connect with them: without them nothing may be sent.
 */
export function dispatcherOf({ dispatcher, dispatcherFor }: Pools, tls: EndpointTls | undefined): Dispatcher {
  if (tls === undefined) return dispatcher;
  if (dispatcherFor === undefined)
    throw new Error("no pool was given for endpoints with TLS settings of their own");
  return dispatcherFor(tls);
}

/** Whether a destination answers as it should, in one sentence. */
export interface TestResult {
  ok: boolean;
  httpStatus: number | null;
  message: string;
}

/** What a sender needs from outside. */
export interface SenderOptions extends Pools {
  /** Egret's version, for User-Agent. */
  version: string;
  /** The clock, ms. */
  now?: () => number;
}

/** A kind of destination, or all of them. */
export interface DestinationSender<D extends Destination = Destination> {
  /** Sends one batch once; retries are the caller's. Throws only what `signal` was aborted with. */
  sendBatch(destination: D, request: BatchRequest): Promise<SendResult>;
  testConnection(destination: D, signal?: AbortSignal): Promise<TestResult>;
}
