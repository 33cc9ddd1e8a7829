/** Keeps to the number of requests that a destination takes at once, while the outcomes of those before are written down. */
import type { AttemptOutcome } from "./attempt.ts";

/** Outcomes that may be on their way into Postgres while as many requests as are allowed are under way. */
const SETTLING = 8;
/** The same for batches of few rows, whose bytes are not worth a thought: they are written down many at a time. */
const SETTLING_SMALL = 64;
/** Rows of a batch that is small. */
export const SMALL_RECORDS = 100;
/** A destination that answers later than this is what everybody waits for: writing outcomes down makes no difference, ms. */
const QUICK_MS = 200;

interface Slots {
  busy: number;
  waiting: (() => void)[];
  lastMs: number;
  lastRecords: number;
}

/** Slots by destination, in one process. */
export class RequestSlots {
  readonly #slots = new Map<number, Slots>();

  /** How many attempts may be under way, from the request to the outcome that stands in Postgres. */
  attempts(id: number, atOnce: number): number {
    const { lastMs, lastRecords } = this.#of(id);
    if (lastMs > QUICK_MS) return atOnce;
    return atOnce + (lastRecords <= SMALL_RECORDS ? SETTLING_SMALL : SETTLING);
  }

  /** Makes a request once fewer than `atOnce` are under way, in the order of the calls. */
  async take(
    { id, atOnce, records }: { id: number; atOnce: number; records: number },
    request: () => Promise<AttemptOutcome>,
  ): Promise<AttemptOutcome> {
    const slots = this.#of(id);
    slots.lastRecords = records;
    // Who leaves hands its slot to the first that waits, so that nobody comes in between.
    if (slots.busy < atOnce) slots.busy += 1;
    else await new Promise<void>((resolve) => slots.waiting.push(resolve));
    try {
      const outcome = await request();
      if (outcome.kind !== "dropped") slots.lastMs = outcome.durationMs;
      return outcome;
    } finally {
      const next = slots.waiting.shift();
      if (next === undefined) slots.busy -= 1;
      else next();
    }
  }

  #of(id: number): Slots {
    let slots = this.#slots.get(id);
    if (slots === undefined) {
      slots = { busy: 0, waiting: [], lastMs: Number.POSITIVE_INFINITY, lastRecords: 0 };
      this.#slots.set(id, slots);
    }
    return slots;
  }
}
