/** The last that was heard of each run in work, for who asks and does not watch. */
import type { LogConnection } from "../../log/connection.ts";
import type { RunProgress } from "../hints.ts";

/** Runs that are remembered at once (I10). */
const MAX_RUNS = 5_000;
/** What is older says nothing of now, ms: a working run tells of itself several times a second. */
const FRESH_MS = 30_000;

/** Listens from its making on until the connection closes. */
export class ProgressBoard {
  readonly #latest = new Map<number, { progress: RunProgress; atMs: number }>();

  constructor({ nc, topology }: LogConnection) {
    nc.subscribe(`${topology.prefix}.progress.*.*.*`, {
      callback: (error, message) => {
        // Replays tell of theirs beside them.
        if (error === null && !message.subject.includes(".replay.")) this.#keep(message.json<RunProgress>());
      },
    });
  }

  /** How far a run is; null when nothing was heard lately. */
  of(runId: number): RunProgress | null {
    const known = this.#latest.get(runId);
    return known !== undefined && performance.now() - known.atMs < FRESH_MS ? known.progress : null;
  }

  #keep(progress: RunProgress): void {
    const { sync_run_id: runId } = progress;
    // Last in the order of the map: the first is the one that was silent longest.
    this.#latest.delete(runId);
    this.#latest.set(runId, { progress, atMs: performance.now() });
    if (this.#latest.size <= MAX_RUNS) return;
    const [silent] = this.#latest.keys();
    if (silent !== undefined) this.#latest.delete(silent);
  }
}
