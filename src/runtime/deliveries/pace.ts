/** How many attempts one target gets at once: few while it is unknown, slow or failing, more while it answers well. */

/** What a target gets at the least and at the most. */
export interface PaceBounds {
  fewest: number;
  most: number;
}

/** An answer that takes longer than this is no reason for more at once, ms. */
const QUICK_MS = 1_000;

/** A limit that grows by one with each quick acceptance and halves with each failure. */
export class Pace {
  #bounds: PaceBounds = { fewest: 1, most: 1 };
  #limit = 1;

  /** Attempts that may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Takes bounds that may have changed; the limit stays where it is if it can. */
  keepWithin(bounds: PaceBounds): void {
    this.#bounds = bounds;
    this.#limit = Math.max(bounds.fewest, Math.min(this.#limit, bounds.most));
  }

  accepted(durationMs: number): void {
    if (durationMs < QUICK_MS) this.#limit = Math.min(this.#limit + 1, this.#bounds.most);
  }

  failed(): void {
    this.#limit = Math.max(Math.floor(this.#limit / 2), this.#bounds.fewest);
  }
}
