/**
 * Traces from a command to each request: what the workers ask of tracing, and the tracing of an Egret that exports none,
 * which hands a `traceparent` that came with a command on through events to requests and makes no span.
 */
import type { AttemptContext, AttemptOutcome } from "../deliveries/attempt.ts";
import type { PendingData } from "../deliveries/deliveryActor.ts";

/** What a span is about; never a secret, a row value, or an address beyond host and port (I11). */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** Work that is under way. */
export interface OpenSpan {
  /** For the events that the work writes: what comes of them is a part of it. Undefined without a trace. */
  readonly traceparent: string | undefined;
  /** `error` is a code or a kind of error, never a message, which could quote a row. */
  end(result?: { error?: string | undefined; facts?: SpanFacts }): void;
}

/** An attempt that is under way: its context goes to the target; one that is never ended leaves no trace. */
export interface AttemptSpan extends AttemptContext {
  end(made: { outcome: AttemptOutcome; state: string }): void;
}

/** The spans there are. `parent` is the `traceparent` of the command or event that caused the work. */
export interface Tracing {
  /** A command, until it is accepted or refused. */
  command(parent: string | undefined, command: { subject: string; id: string; bytes: number }): OpenSpan;
  /** A run, from when a worker takes it up until it has ended or another goes on with it. */
  run(
    parent: string | undefined,
    ids: { workspace_id: number; sync_id: number; sync_run_id: number },
  ): OpenSpan;
  /** One step of a run, by the name of its effect. */
  step(parent: string | undefined, effect: string): OpenSpan;
  /** The making of a delivery; its attempts come after it, here or in other processes. */
  delivery(parent: string | undefined, data: PendingData): OpenSpan;
  /** One request. `parent` is that of the delivery's first event. */
  attempt(parent: string | undefined, pending: PendingData, attempt: number): AttemptSpan;
  /** Exports what has ended and was not exported. */
  close(): Promise<void>;
}

class PassedOn implements OpenSpan, AttemptSpan {
  readonly traceparent: string | undefined;

  constructor(traceparent: string | undefined) {
    this.traceparent = traceparent;
  }

  end(): void {
    // Nobody asked for it.
  }
}

const NOTHING = new PassedOn(undefined);
const passOn = (parent: string | undefined): PassedOn =>
  parent === undefined ? NOTHING : new PassedOn(parent);

/** Tracing that is off. */
export const NO_TRACING: Tracing = {
  command: passOn,
  run: passOn,
  step: passOn,
  delivery: passOn,
  attempt: passOn,
  close: async () => undefined,
};
