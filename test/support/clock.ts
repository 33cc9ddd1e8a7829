/** A clock that moves only when a test moves it; who waits on it is woken in the order of their times. */

/** A test's hold on time. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves when the clock reaches now + ms; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Moves time on and wakes, one after the other, everyone whose time has come. */
  advance(ms: number): Promise<void>;
  /** How many wait now. */
  sleepers(): number;
  /** Resolves once at least that many wait: the way to know that a worker has reached its pause. */
  waitForSleepers(count: number): Promise<void>;
}

interface Sleeper {
  at: number;
  wake(): void;
}

/** Creates a clock that stands at `start`. */
export function createTestClock(start: Date | number = Date.UTC(2026, 0, 1)): TestClock {
  let now = Number(start);
  let sleepers: Sleeper[] = [];
  let watchers: { count: number; tell(): void }[] = [];

  function tellWatchers(): void {
    const told = watchers.filter(({ count }) => sleepers.length >= count);
    watchers = watchers.filter((watcher) => !told.includes(watcher));
    for (const { tell } of told) tell();
  }

  return {
    now: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      if (ms <= 0) return;
      await new Promise<void>((resolve, reject) => {
        const sleeper: Sleeper = { at: now + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(toError(signal.reason));
        });
        tellWatchers();
      });
    },
    async advance(ms) {
      const target = now + ms;
      for (;;) {
        const next = sleepers.filter(({ at }) => at <= target).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        sleepers = sleepers.filter((sleeper) => sleeper !== next);
        now = next.at;
        next.wake();
        // Lets the woken run until it waits for something real, so that a next sleep counts from this moment.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      now = target;
    },
    sleepers: () => sleepers.length,
    async waitForSleepers(count) {
      if (sleepers.length >= count) return;
      await new Promise<void>((resolve) => watchers.push({ count, tell: resolve }));
    },
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
