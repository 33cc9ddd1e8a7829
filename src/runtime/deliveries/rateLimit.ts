/** A token bucket per key: so many requests a second, with a burst of one second's worth. */

interface Bucket {
  tokens: number;
  refilledAt: number;
}

/** Grants requests at a bounded rate. Source: ours; behaviour.md 12.4. */
export class RateLimits {
  readonly #buckets = new Map<number, Bucket>();
  readonly #pausedUntil = new Map<number, number>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Takes the next place for `key`; returns how long to wait before using it, ms. */
  take(key: number, perSecond: number | null): number {
    const now = this.#now();
    const paused = this.pausedMs(key);
    if (perSecond === null) return paused;
    const bucket = this.#buckets.get(key) ?? { tokens: perSecond, refilledAt: now };
    const refilled = bucket.tokens + ((now - bucket.refilledAt) / 1000) * perSecond;
    // Tokens below zero are places already promised: who comes later waits for longer.
    const tokens = Math.min(perSecond, refilled) - 1;
    this.#buckets.set(key, { tokens, refilledAt: now });
    return Math.max(paused, tokens >= 0 ? 0 : Math.ceil((-tokens / perSecond) * 1000));
  }

  /** No request of `key` starts within the next `ms`: the target asked for it (Retry-After). */
  pause(key: number, ms: number): void {
    this.#pausedUntil.set(key, Math.max(this.#pausedUntil.get(key) ?? 0, this.#now() + ms));
  }

  /** How long no request of `key` may start, ms. */
  pausedMs(key: number): number {
    const left = (this.#pausedUntil.get(key) ?? 0) - this.#now();
    if (left <= 0) this.#pausedUntil.delete(key);
    return Math.max(0, left);
  }
}
