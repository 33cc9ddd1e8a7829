/** Bounds the attempts under way per target, so that a slow one does not take every worker's hands (I7). */

interface Gate {
  active: number;
  waiting: (() => void)[];
}

/** How many deliveries may wait in this process for a slot of one target; the rest are parked in the log. */
const WAITING_PER_SLOT = 2;

/** Slots per target, given out first come, first served. */
export class TargetGates {
  readonly #gates = new Map<string, Gate>();

  /** True when `enter` would answer null now. */
  isFull(target: string, slots: number): boolean {
    const gate = this.#gates.get(target);
    return gate !== undefined && gate.active >= slots && gate.waiting.length >= slots * WAITING_PER_SLOT;
  }

  /**
   * Waits for a slot of `target` and returns its release, or null at once when too many wait already:
   * the caller then parks the delivery.
   */
  async enter(target: string, slots: number): Promise<(() => void) | null> {
    if (this.isFull(target, slots)) return null;
    const gate = this.#gates.get(target) ?? { active: 0, waiting: [] };
    this.#gates.set(target, gate);
    if (gate.active >= slots) {
      await new Promise<void>((resolve) => gate.waiting.push(resolve));
    } else {
      gate.active += 1;
    }
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#leave(target, gate);
    };
  }

  #leave(target: string, gate: Gate): void {
    const next = gate.waiting.shift();
    // The slot passes on without becoming free, or a newcomer could overtake who waited.
    if (next !== undefined) next();
    else if (--gate.active === 0) this.#gates.delete(target);
  }
}
