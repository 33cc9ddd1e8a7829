/** Histories that this process wrote last: a retry that comes back to it needs no look into the log. */
import type { StoredEvent } from "../../domain/event.ts";

/** Histories kept; with payload and six attempts one has about 5 KB. */
const MOST = 5_000;

/** A bounded memory of histories by the sequence of their last event; the oldest go first. */
export class RecentHistories {
  readonly #histories = new Map<number, readonly StoredEvent[]>();

  remember(history: readonly StoredEvent[]): void {
    const last = history.at(-1);
    if (last === undefined) return;
    this.#histories.set(last.sequence, history);
    if (this.#histories.size <= MOST) return;
    const [oldest] = this.#histories.keys();
    if (oldest !== undefined) this.#histories.delete(oldest);
  }

  /** The history that ends with the event of that sequence, and forgets it; null when it is not known. */
  take(sequence: number): readonly StoredEvent[] | null {
    const history = this.#histories.get(sequence) ?? null;
    this.#histories.delete(sequence);
    return history;
  }
}
