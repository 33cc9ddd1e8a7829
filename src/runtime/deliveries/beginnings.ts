/** How fast deliveries begin at a target that fails: each one that begins is up to six attempts, on time. */

/** So many failures in a row, over so long, ms, and a target counts as failing here. */
const STREAK = 10;
const LASTING_MS = 10_000;
/** First attempts that a failing target gets in a second from one process; the rest wait, and spend nothing. */
const PER_SECOND = 20;

/** Lets every delivery begin while a target answers, and a few in a second while it fails. */
export class Beginnings {
  #failures = 0;
  #failingFromMs = 0;
  #tokens = PER_SECOND;
  #filledMs = 0;

  /** The target answered. */
  accepted(): void {
    this.#failures = 0;
  }

  failed(nowMs: number): void {
    if (this.#failures === 0) this.#failingFromMs = nowMs;
    this.#failures += 1;
  }

  /** Several failures in a row, and no answer between. */
  get isFailing(): boolean {
    return this.#failures >= STREAK;
  }

  /** How many may begin now; does not count them. */
  available(nowMs: number): number {
    if (!this.isFailing || nowMs - this.#failingFromMs < LASTING_MS) return Number.POSITIVE_INFINITY;
    const gained = ((nowMs - this.#filledMs) / 1000) * PER_SECOND;
    this.#filledMs = nowMs;
    this.#tokens = Math.min(PER_SECOND, this.#tokens + gained);
    return Math.floor(this.#tokens);
  }

  /** True when one more may begin now, and counts it. */
  take(nowMs: number): boolean {
    if (this.available(nowMs) < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
