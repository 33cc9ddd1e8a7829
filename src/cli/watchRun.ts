/** Follows one run to its end: the truth from its events, how far it is from unstored messages. */
import type { RunAggregate, TrialAggregate } from "../domain/aggregate.ts";
import { aggregateSubject } from "../domain/aggregate.ts";
import { InvalidInput } from "../domain/errors.ts";
import type { AnyEvent, EgretEvent, EventData } from "../domain/event.ts";
import type { LogConnection } from "../log/connection.ts";
import { follow } from "../log/follow.ts";
import { onProgress, type RunProgress } from "../runtime/hints.ts";
import { TimedOut } from "./failures.ts";

export interface WatchOptions<R extends RunAggregate | TrialAggregate = RunAggregate> {
  connection: LogConnection;
  run: R;
  /** Sequence of the run's first event. */
  fromSequence: number;
  /** A run that no worker takes up for this long is given up watching, ms. */
  startTimeoutMs: number;
  onEvent(event: AnyEvent): void;
  onProgress(progress: RunProgress): void;
}

/** How a run ended. */
export interface RunEnd {
  outcome: "success" | "failed";
  completed: EventData<"sync.completed">;
  durationMs: number;
}

/** The last event of a run, of whatever kind. */
export type LastEvent = Extract<
  AnyEvent,
  { type: "sync.success" | "sync.failed" | "sync.skipped" | "trial.completed" | "trial.failed" }
>;

const LAST_EVENTS: readonly string[] = [
  "sync.success",
  "sync.failed",
  "sync.skipped",
  "trial.completed",
  "trial.failed",
] satisfies LastEvent["type"][];

/** True for an event after which a run has no other. */
export function isLastEvent(event: AnyEvent): event is LastEvent {
  return LAST_EVENTS.includes(event.type);
}

/**
 * Resolves with its last event when the run, dry and test runs included, has ended.
 * @throws TimedOut when no worker takes it up in time.
 */
export async function watchToEnd(options: WatchOptions<RunAggregate | TrialAggregate>): Promise<LastEvent> {
  const { connection, run, startTimeoutMs } = options;
  const stop = new AbortController();
  let isWaiting = true;
  const patience = setTimeout(() => stop.abort(), startTimeoutMs);
  const unsubscribe = onProgress(connection, run, options.onProgress);
  const filters = [`${aggregateSubject(run)}.*`];
  try {
    const where = { fromSequence: options.fromSequence, maxBatch: 100, signal: stop.signal, filters };
    for await (const batch of follow(connection, "runs", where)) {
      for (const { event } of batch) {
        if (isWaiting && event.version > 1) {
          isWaiting = false;
          clearTimeout(patience);
        }
        options.onEvent(event);
        if (isLastEvent(event)) return event;
      }
    }
    throw new TimedOut(
      `run ${run.runId} was accepted, but no worker took it up within ${Math.round(startTimeoutMs / 1_000)} s: ` +
        "is `egret start` with the role `worker` running? It goes on by itself as soon as one does.",
    );
  } finally {
    clearTimeout(patience);
    unsubscribe();
    stop.abort();
  }
}

/**
 * Resolves when the run has ended.
 * @throws TimedOut when no worker takes it up in time; InvalidInput when it was skipped.
 */
export async function watchRun(options: WatchOptions): Promise<RunEnd> {
  const seen: { completed: EgretEvent<"sync.completed"> | null } = { completed: null };
  const last = await watchToEnd({
    ...options,
    onEvent: (event) => {
      if (event.type === "sync.completed") seen.completed = event;
      options.onEvent(event);
    },
  });
  if (last.type === "sync.skipped") {
    const { sync_run_id, running_run_id } = last.data;
    throw new InvalidInput(
      `run ${sync_run_id} was skipped: run ${running_run_id} of the same sync is under way; wait for its end, then trigger again`,
    );
  }
  if ((last.type !== "sync.success" && last.type !== "sync.failed") || seen.completed === null) {
    throw new TypeError(`run ${options.run.runId} cannot end with ${last.type}`);
  }
  const outcome = last.type === "sync.success" ? "success" : "failed";
  return { outcome, completed: seen.completed.data, durationMs: last.data.duration_ms };
}
