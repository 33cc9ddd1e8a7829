/**
 * Does small sends to NATS together at the end of a turn of the event loop. The client writes to its socket after each
 * microtask: one system call per message, a quarter of a busy worker's time, where one per turn will do.
 */

let waiting: (() => void)[] = [];

function run(): void {
  const sends = waiting;
  waiting = [];
  for (const send of sends) {
    try {
      send();
    } catch {
      // The connection is closed: what was not acknowledged comes again, to us or to another.
    }
  }
}

/** Calls `send` at the end of this turn of the event loop; what it throws is dropped. */
export function atTurnEnd(send: () => void): void {
  if (waiting.push(send) === 1) setImmediate(run);
}
