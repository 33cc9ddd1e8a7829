/** What an attempt at a target can come to, and the contract by which the delivery worker makes one. */
import type { Exchange } from "../../destinations/exchange.ts";
import type { PendingData } from "./deliveryActor.ts";
import type { PaceBounds } from "./pace.ts";

/** When the request itself began and how long the answer took, without any wait for a place before it. */
export interface AttemptTiming {
  startedAt: Date;
  durationMs: number;
}

/** Outcome of one attempt; all but the exchange goes into the log as it is (I11). */
export type AttemptOutcome = (AttemptTiming & RequestOutcome & { exchange?: Exchange }) | Dropped;

/**
 * What came of a request that was made. `statusMessage` may quote the target and stays out of the log. Of a failure,
 * `delayMs` replaces the schedule's wait, and `atLeastMs` does where it is longer.
 */
export type RequestOutcome =
  /** `rejectedRecords`: rows of a batch of which the answer says that they were not taken. */
  | { kind: "accepted"; httpStatus: number; rejectedRecords?: number }
  | { kind: "refused"; httpStatus: number; error: string; statusMessage: string }
  | { kind: "failed"; httpStatus: number | null; error: string; delayMs?: number; atLeastMs?: number };

/** No request was made: nobody wants this delivery any more. */
export interface Dropped {
  kind: "dropped";
  reason: "target_deleted" | "target_disabled" | "run_ended";
}

/** How a delivery ended, told to who owns it. `statusMessage` may quote the target and stays out of the log. */
export interface Ending {
  pending: PendingData;
  outcome: "accepted" | "rejected" | "unavailable" | "dropped";
  /** Of the last attempt; null when no status line came back, or none was made. */
  httpStatus: number | null;
  statusMessage: string | null;
}

/** The trace that a request is a part of. */
export interface AttemptContext {
  /** Goes out as the header of that name: another for each attempt, never signed, never in the body. */
  readonly traceparent?: string | undefined;
  /** Told right before the request goes out. */
  sending?(request: { method: string; url: string }): void;
}

/** How many attempts a target may have, and whether it has any now. */
export type TargetBounds = PaceBounds & { isPaused: boolean; isGone?: boolean };

/** One kind of target: destinations take batches, webhooks take lifecycle events. */
export interface Target {
  /** How many attempts at the target of that id may be under way in one process; a paused one has none until resumed, one that was deleted or disabled drops what comes. */
  bounds(targetId: number): Promise<TargetBounds> | TargetBounds;
  /** Sends one request. Every expected outcome is a value; a throw means that nothing was sent. */
  attempt(pending: PendingData, attempt: number, context?: AttemptContext): Promise<AttemptOutcome>;
  /** Called when the delivery has ended; safe to call twice. */
  settle(ending: Ending): Promise<void> | void;
}
