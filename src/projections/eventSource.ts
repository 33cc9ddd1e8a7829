/** What the projections need of the event log: to follow a stream from a sequence, and to know which stream it is. */
import type { StoredEvent } from "../domain/event.ts";

/** `runs` holds runs, configuration changes and refused commands; `deliveries` holds deliveries. */
export type StreamName = "runs" | "deliveries";

/** Every stream that read models are made from. */
export const STREAMS: readonly StreamName[] = ["runs", "deliveries"];

/** Identity and extent of a stream. */
export interface StreamInfo {
  /** When the stream was created: another instant means another stream, whatever its name. */
  created: Date;
  /** First sequence still held; `lastSequence + 1` when nothing is held. */
  firstSequence: number;
  /** Highest sequence ever given out; 0 for a stream that never held anything. */
  lastSequence: number;
}

/** Where to begin, and how batches are cut. */
export interface FollowedFrom {
  fromSequence: number;
  maxBatch: number;
  signal: AbortSignal;
  /** Given the events of a batch that was not full: how long the next one gathers at most, and how long without any coming, ms. */
  gathering?: (events: number) => { mostMs: number; quietMs: number };
}

/** The part of the log that projections read. */
export interface EventSource {
  /** Batches of events with sequence >= fromSequence, in order, until the signal aborts; at most maxBatch each. */
  follow(stream: StreamName, options: FollowedFrom): AsyncIterable<StoredEvent[]>;
  info(stream: StreamName): Promise<StreamInfo>;
}
