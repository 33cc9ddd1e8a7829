/** Sees soon that a run in work is to be cancelled: told by a hint, found in the log when the hint was lost. */
import type { RunAggregate, TrialAggregate } from "../../domain/aggregate.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { onCanceled } from "../hints.ts";

/** The reason with which the signal of a cancelled run aborts. */
export class RunCanceled extends Error {
  constructor(runId: number) {
    super(`run ${runId} is to be cancelled`);
    this.name = "RunCanceled";
  }
}

/** A lookout for one run. */
export interface CancelWatch {
  /** Aborts once the log says that the run is to be cancelled, or that it has ended under its worker. */
  readonly signal: AbortSignal;
  close(): void;
}

/** Hints can be lost: the log is read this often besides, ms. */
const LOOK_EVERY_MS = 1_000;

/** The last words of a run that somebody else than its worker spoke. */
const FOREIGN = new Set(["sync.cancel_requested", "trial.failed"]);

/** Watches until closed. */
export function watchForCancel(
  { connection, log }: { connection: LogConnection; log: EventLog },
  run: RunAggregate | TrialAggregate,
): CancelWatch {
  const controller = new AbortController();
  const look = async (): Promise<void> => {
    // A log that cannot be read now is read again a second later.
    const last = await log.last(run).catch(() => null);
    if (last !== null && FOREIGN.has(last.event.type)) controller.abort(new RunCanceled(run.runId));
  };
  const stopHints = onCanceled(connection, run.runId, () => void look());
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  return {
    signal: controller.signal,
    close: () => {
      stopHints();
      clearInterval(timer);
    },
  };
}
