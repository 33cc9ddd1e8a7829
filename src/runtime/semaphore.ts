/** A bound on how much goes on at once in this process, first come, first served. */

/** Gives out places; who finds none waits. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(places: number) {
    this.#free = places;
  }

  /** Does `work` in a place of its own; null, without doing it, once the semaphore is closed. */
  async use<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.#free > 0) this.#free -= 1;
    else if (!this.#isClosed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#isClosed) return null;
    try {
      return await work();
    } finally {
      // The place passes on without becoming free, or a newcomer could overtake who waited.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  /** Sends everyone away who waits or comes later; what is going on goes on. */
  close(): void {
    this.#isClosed = true;
    for (const sendAway of this.#waiting.splice(0)) sendAway();
  }
}
