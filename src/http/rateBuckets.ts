/** How often something may be done: a bucket per key, with a burst and a steady rate. */

/** How a bucket fills. */
export interface Rate {
  /** So many at once. */
  burst: number;
  perSecond: number;
}

/** Unknown keys make buckets too: beyond this many, the one that was idle for longest goes. */
const MAX_BUCKETS = 10_000;

/** Buckets of one process. */
export class RateBuckets<K> {
  readonly #buckets = new Map<K, { left: number; atMs: number }>();
  readonly #rate: Rate;
  readonly #now: () => number;

  /** `now` in ms. */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
  }

  /** Takes a place; returns 0, or after how many whole seconds there is one. */
  take(key: K): number {
    const { burst, perSecond } = this.#rate;
    const atMs = this.#now();
    const bucket = this.#buckets.get(key) ?? { left: burst, atMs };
    const left = Math.min(burst, bucket.left + (Math.max(0, atMs - bucket.atMs) / 1000) * perSecond);
    // Set anew, so that the map stands in the order of last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, { left: left >= 1 ? left - 1 : left, atMs });
    const oldest = this.#buckets.size > MAX_BUCKETS ? this.#buckets.keys().next().value : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return left >= 1 ? 0 : Math.ceil((1 - left) / perSecond);
  }
}
