/** An event source over arrays, for tests of what projections do with events however they come. */
import type { StoredEvent } from "../../src/domain/event.ts";
import type { EventSource, StreamName } from "../../src/projections/eventSource.ts";

/** Streams that tests append to; `follow` hands out what is there and waits for more. */
export class ArraySource implements EventSource {
  created = new Date("2026-01-01T00:00:00.000Z");
  readonly streams: Record<StreamName, StoredEvent[]>;
  /** Called before each batch is handed out; a throw breaks the follow. */
  beforeBatch: (stream: StreamName) => void = () => undefined;
  #wake = Promise.withResolvers<void>();

  constructor(streams: Partial<Record<StreamName, StoredEvent[]>> = {}) {
    this.streams = { runs: [], deliveries: [], ...streams };
  }

  append(stream: StreamName, events: readonly StoredEvent[]): void {
    this.streams[stream].push(...events);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  info(stream: StreamName) {
    const events = this.streams[stream];
    const lastSequence = events.at(-1)?.sequence ?? 0;
    const firstSequence = events[0]?.sequence ?? lastSequence + 1;
    return Promise.resolve({ created: this.created, firstSequence, lastSequence });
  }

  async *follow(
    stream: StreamName,
    options: { fromSequence: number; maxBatch: number; signal: AbortSignal },
  ) {
    let next = options.fromSequence;
    const aborted = new Promise<void>((resolve) => {
      options.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    while (!options.signal.aborted) {
      const woken = this.#wake.promise;
      const start = this.streams[stream].findIndex(({ sequence }) => sequence >= next);
      const batch = start < 0 ? [] : this.streams[stream].slice(start, start + options.maxBatch);
      if (batch.length === 0) {
        await Promise.race([woken, aborted]);
        continue;
      }
      this.beforeBatch(stream);
      next = batch.at(-1)!.sequence + 1;
      yield batch;
    }
  }
}
