/** Reads a stream ahead of its reader, into one buffer: what waits is bytes, no objects that the heap grows by. */
import { finished, type Readable } from "node:stream";
import { GrowingBytes } from "./growingBytes.ts";

/** So much is read ahead, bytes: more than one write of batches, so that the source goes on meanwhile. */
const MOST_BYTES = 7 << 19;
/** What was taken is moved out of the way once it is so much, bytes. */
const MOVE_BYTES = MOST_BYTES / 2;

/** The bytes of one stream, which flows from now on. */
export class ReadAhead {
  readonly #stream: Readable;
  readonly #bytes = new GrowingBytes();
  /** Up to here they were taken. */
  #at = 0;
  #error: Error | null = null;
  #isEnded = false;
  #wake = (): void => undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    finished(stream, { writable: false }, (error) => {
      this.#isEnded = true;
      this.#error = error ?? null;
      this.#wake();
    });
    stream.on("data", (part: Buffer) => {
      this.#bytes.append(part);
      if (this.#waiting >= MOST_BYTES) stream.pause();
      this.#wake();
    });
  }

  /** Whether there is something to take; false at the end. @throws the stream's error. */
  async isReady(): Promise<boolean> {
    while (this.#waiting === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== null) throw this.#error;
    return this.hasMore;
  }

  /** Whether something waits to be taken at this moment. */
  get hasMore(): boolean {
    return this.#waiting > 0;
  }

  /** The next bytes, as they stand until this process does something else: copy them. */
  take(most: number): Buffer {
    if (this.#at >= MOVE_BYTES || this.#waiting === 0) {
      this.#bytes.dropFirst(this.#at);
      this.#at = 0;
    }
    const from = this.#at;
    this.#at = Math.min(this.#bytes.length, from + most);
    if (this.#stream.isPaused() && this.#waiting < MOST_BYTES) this.#stream.resume();
    return this.#bytes.view(from, this.#at);
  }

  /** Lets the stream go. */
  close(): void {
    this.#stream.destroy();
  }

  get #waiting(): number {
    return this.#bytes.length - this.#at;
  }
}
