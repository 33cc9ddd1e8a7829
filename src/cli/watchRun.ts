/** Follows one run to its end: the truth from its events, how far it is from unstored messages. */
import type { RunAggregate } from "../domain/aggregate.ts";
import { aggregateSubject } from "../domain/aggregate.ts";
import type { AnyEvent, EventData } from "../domain/event.ts";
import type { LogConnection } from "../log/connection.ts";
import { follow } from "../log/follow.ts";
import { onProgress, type RunProgress } from "../runtime/hints.ts";
import { TimedOut } from "./failures.ts";

export interface WatchOptions {
  connection: LogConnection;
  run: RunAggregate;
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

/**
 * Resolves when the run has ended.
 * @throws TimedOut when no worker takes it up in time.
 */
export async function watchRun(options: WatchOptions): Promise<RunEnd> {
  const { connection, run, startTimeoutMs } = options;
  const stop = new AbortController();
  let isWaiting = true;
  const patience = setTimeout(() => stop.abort(), startTimeoutMs);
  const unsubscribe = onProgress(connection, run, options.onProgress);
  const filters = [`${aggregateSubject(run)}.*`];
  try {
    let completed: EventData<"sync.completed"> | null = null;
    const where = { fromSequence: options.fromSequence, maxBatch: 100, signal: stop.signal, filters };
    for await (const batch of follow(connection, "runs", where)) {
      for (const { event } of batch) {
        if (event.type !== "sync.triggered" && isWaiting) {
          isWaiting = false;
          clearTimeout(patience);
        }
        options.onEvent(event);
        if (event.type === "sync.completed") completed = event.data;
        if ((event.type === "sync.success" || event.type === "sync.failed") && completed !== null) {
          const outcome = event.type === "sync.success" ? "success" : "failed";
          return { outcome, completed, durationMs: event.data.duration_ms };
        }
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
