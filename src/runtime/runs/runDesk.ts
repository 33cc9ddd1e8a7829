/** What cancelling, dry and test runs ask of the engine. */
import type { TrialWish } from "../../engine/trials.ts";

/** Each may be called twice for one command. */
export interface RunDesk {
  /** Frees the sync of a run that ends before a worker took it. */
  releaseRun(syncId: number, runId: number): Promise<void>;
  /** The id of the dry or test run that a command asks for; the same for the same command. */
  acceptTrial(trial: TrialWish): Promise<number>;
}
