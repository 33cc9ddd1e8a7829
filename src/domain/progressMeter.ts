/** How fast something gets on, and when it will be done: worked out from how much was done at which moment. */

/** What can be said at a moment; null while it cannot. */
export interface Pace {
  /** Per second, over the last ten seconds. */
  ratePerSecond: number | null;
  timeLeftMs: number | null;
}

interface Sample {
  atMs: number;
  done: number;
}

/** Older moments no longer count: what was slow a minute ago says little, ms. */
const WINDOW_MS = 10_000;
/** Over a shorter time, chance says more than the pace, ms. */
const SHORTEST_MS = 250;

/** Takes moments in their order. Less done than before means that something new began, and is measured anew. */
export class ProgressMeter {
  #samples: Sample[] = [];

  /** `total` is null when nobody knows it. */
  at(nowMs: number, done: number, total: number | null): Pace {
    const last = this.#samples.at(-1);
    if (last !== undefined && (done < last.done || nowMs < last.atMs)) this.#samples = [];
    this.#samples.push({ atMs: nowMs, done });
    // The last one from before the window stays: the pace since then is that of the window.
    while ((this.#samples[1]?.atMs ?? nowMs) <= nowMs - WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0] as Sample;
    const elapsedMs = nowMs - first.atMs;
    const left = total === null ? null : Math.max(0, total - done);
    if (elapsedMs < SHORTEST_MS) return { ratePerSecond: null, timeLeftMs: left === 0 ? 0 : null };
    const ratePerSecond = ((done - first.done) / elapsedMs) * 1_000;
    if (left === null || left === 0) return { ratePerSecond, timeLeftMs: left };
    return { ratePerSecond, timeLeftMs: ratePerSecond === 0 ? null : (left / ratePerSecond) * 1_000 };
  }
}
