/** What an attempt at a target can come to, and the contract by which the delivery worker makes one. */
import type { PendingData } from "./deliveryActor.ts";
import type { PaceBounds } from "./pace.ts";

/** When the request itself began and how long the answer took, without any wait for a place before it. */
export interface AttemptTiming {
  startedAt: Date;
  durationMs: number;
}

/** Outcome of one attempt; all but the exchange goes into the log as it is (I11). */
export type AttemptOutcome = (AttemptTiming & RequestOutcome & { exchange?: Exchange }) | Dropped;

/** What was said on the wire, for people to inspect: kept in Postgres under a retention of its own, never in the log. */
export interface Exchange {
  /** Values of secret headers are replaced. */
  requestHeaders: Record<string, string>;
  /** Null when no status line came back. */
  responseHeaders: Record<string, string | string[] | undefined> | null;
  /** The first 4 KiB of the answer's body; null when there was no answer. */
  responseBody: string | null;
  split: TimingSplit;
}

/** Where the time went, ms; null for a step that was not needed (a kept connection) or not reached. */
export interface TimingSplit {
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
  /** From the start of the request to the status line. */
  firstByteMs: number | null;
  totalMs: number;
}

/** What came of a request that was made. `statusMessage` may quote the target and stays out of the log. */
export type RequestOutcome =
  | { kind: "accepted"; httpStatus: number }
  | { kind: "refused"; httpStatus: number; error: string; statusMessage: string }
  | { kind: "failed"; httpStatus: number | null; error: string; delayMs?: number };

/** No request was made: nobody wants this delivery any more. */
export interface Dropped {
  kind: "dropped";
  reason: "target_deleted" | "target_disabled" | "run_ended";
}

/** How a delivery ended, told to who owns it. `statusMessage` may quote the target and stays out of the log. */
export interface Ending {
  pending: PendingData;
  outcome: "accepted" | "rejected" | "unavailable" | "dropped";
  statusMessage: string | null;
}

/** One kind of target: destinations take batches, webhooks take lifecycle events. */
export interface Target {
  /** How many attempts at the target of that id may be under way in one process; a paused one has none until resumed, one that was deleted or disabled drops what comes. */
  bounds(targetId: number): Promise<PaceBounds & { isPaused: boolean; isGone?: boolean }>;
  /** Sends one request. Every expected outcome is a value; a throw means that nothing was sent. */
  attempt(pending: PendingData, attempt: number): Promise<AttemptOutcome>;
  /** Called when the delivery has ended; safe to call twice. */
  settle(ending: Ending): Promise<void>;
}
