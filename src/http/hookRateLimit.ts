/** How often one hook may be called: a bucket per token, with a burst and a steady rate. */

/** Calls at once, and then one every few seconds: a run takes longer than that. Source: ours. */
const BURST = 10;
const PER_SECOND = 0.5;
/** Unknown tokens make buckets too: beyond this many, the one that was idle for longest goes. */
const MAX_BUCKETS = 10_000;

/** Buckets of one process. */
export class HookRateLimit {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes a place; returns 0, or after how many seconds there is one. */
  take(key: string): number {
    const at = this.#now();
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at };
    const tokens = Math.min(BURST, bucket.tokens + ((at - bucket.at) / 1000) * PER_SECOND);
    // Set anew, so that the map stands in the order of last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at });
    const oldest = this.#buckets.size > MAX_BUCKETS ? this.#buckets.keys().next().value : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return tokens >= 1 ? 0 : Math.ceil((1 - tokens) / PER_SECOND);
  }
}
