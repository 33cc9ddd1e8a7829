/** Does together what is asked at about the same time, such as many single lookups by one query. */

interface Waiting<A, R> {
  ask: A;
  resolve(answer: R): void;
  reject(error: Error): void;
}

/** So many asks at most are done by one call. */
const MAX_BATCH = 256;
/** So many calls at once: a slow one does not hold up all that comes after it. */
const LANES = 2;

/**
 * Collects what is asked in one turn of the event loop, and while other calls are under way. What `perform` gives stands
 * in the order of what it got; what it throws is thrown to all of them.
 */
export class Together<A, R> {
  readonly #perform: (asks: readonly A[]) => Promise<readonly R[]>;
  #waiting: Waiting<A, R>[] = [];
  #underWay = 0;
  #isPlanned = false;

  constructor(perform: (asks: readonly A[]) => Promise<readonly R[]>) {
    this.#perform = perform;
  }

  /** The answer to one ask. */
  ask(ask: A): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ask, resolve, reject });
      if (this.#isPlanned || this.#underWay >= LANES) return;
      this.#isPlanned = true;
      setImmediate(() => {
        this.#isPlanned = false;
        this.#begin();
      });
    });
  }

  #begin(): void {
    while (this.#waiting.length > 0 && this.#underWay < LANES) void this.#next();
  }

  async #next(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#underWay += 1;
    try {
      const answers = await this.#perform(batch.map(({ ask }) => ask));
      batch.forEach(({ resolve }, index) => resolve(answers[index] as R));
    } catch (error) {
      for (const { reject } of batch) reject(error as Error);
    } finally {
      this.#underWay -= 1;
      this.#begin();
    }
  }
}
