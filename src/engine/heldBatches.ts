/** Small batches, held with their bytes from the moment they become deliveries until their requests go out: nothing is read twice. */
import type { BatchToSend } from "./settle.ts";

/** A body that is longer is read when its turn comes, bytes. */
export const MOST_HELD_BODY_BYTES = 8_192;
/** Of all runs of one process together, bytes: what comes beyond is read when its turn comes (I10). */
const MOST_BYTES = 4 << 20;
/** What a batch takes besides its body, about, bytes. */
const BATCH_BYTES = 1_024;
/**
 * What was read longer ago is not given any more, ms. While its run is loaded here nobody else can end the run; should
 * this process have lost the run without knowing, it knows soon.
 */
const FRESH_MS = 1_000;

interface Held {
  batch: BatchToSend;
  readMs: number;
}

/** What one process holds. Postgres stays the truth: whatever is not here, or no longer, is read there. */
export class HeldBatches {
  readonly #runs = new Map<number, Map<number | string, Held>>();
  readonly #now: () => number;
  #bytes = 0;

  constructor(now: () => number = performance.now.bind(performance)) {
    this.#now = now;
  }

  /** Makes room of what another process sends, and says whether there is room for more. */
  makeRoom(): boolean {
    const oldestMs = this.#now() - FRESH_MS;
    for (const ofRun of this.#runs.values()) {
      for (const [key, { batch, readMs }] of ofRun) {
        if (readMs >= oldestMs) break;
        ofRun.delete(key);
        this.#bytes -= bytesOf(batch);
      }
    }
    return this.#bytes < MOST_BYTES;
  }

  /** Takes a batch of a run, read now; one without bytes, or beyond the room, is not held. */
  hold(runId: number, key: number | string, batch: BatchToSend): void {
    if (batch.body === null || this.#bytes >= MOST_BYTES) return;
    let ofRun = this.#runs.get(runId);
    if (ofRun === undefined) this.#runs.set(runId, (ofRun = new Map<number | string, Held>()));
    const before = ofRun.get(key);
    if (before !== undefined) this.#bytes -= bytesOf(before.batch);
    // Behind the others, in the order in which they were read.
    ofRun.delete(key);
    ofRun.set(key, { batch, readMs: this.#now() });
    this.#bytes += bytesOf(batch);
  }

  /** Gives a batch away: whoever asks again reads it, since it may have been settled. Null when it is not held, or was for too long. */
  take(runId: number, key: number | string): BatchToSend | null {
    const ofRun = this.#runs.get(runId);
    const held = ofRun?.get(key);
    if (ofRun === undefined || held === undefined) return null;
    ofRun.delete(key);
    this.#bytes -= bytesOf(held.batch);
    return this.#now() - held.readMs <= FRESH_MS ? held.batch : null;
  }

  /** Forgets the batches of a run: from now on somebody else may end it. */
  drop(runId: number): void {
    for (const { batch } of this.#runs.get(runId)?.values() ?? []) this.#bytes -= bytesOf(batch);
    this.#runs.delete(runId);
  }
}

function bytesOf({ body }: BatchToSend): number {
  return (body?.length ?? 0) + BATCH_BYTES;
}
