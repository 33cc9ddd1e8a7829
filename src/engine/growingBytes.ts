/** Bytes gathered piece by piece in one buffer that is used again and again: millions of rows leave no garbage behind. */

const FIRST_BYTES = 1 << 14;

/** Doubles when it is full, and never shrinks. */
export class GrowingBytes {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Appends a buffer, or a part of it. */
  append(part: Buffer, start = 0, end = part.length): void {
    const at = this.reserve(end - start);
    part.copy(this.#bytes, at, start, end);
  }

  /** Appends an int4 in the order of the network. */
  appendInt32(value: number): void {
    const at = this.reserve(4);
    this.#bytes.writeInt32BE(value, at);
  }

  /** Writes an int4 over what stands at `at`. */
  setInt32(value: number, at: number): void {
    this.#bytes.writeInt32BE(value, at);
  }

  /** Makes room behind what is there, whose bytes are anything, and returns where it begins. */
  reserve(bytes: number): number {
    const at = this.#length;
    const length = at + bytes;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = length;
    return at;
  }

  /** Drops the first bytes: the rest moves to the front. */
  dropFirst(bytes: number): void {
    this.#bytes.copyWithin(0, bytes, this.#length);
    this.#length -= bytes;
  }

  /** Drops all but the first bytes. */
  cutTo(bytes: number): void {
    this.#length = bytes;
  }

  /** All that is there, or a part of it, as it stands until the next change. */
  view(from = 0, to = this.#length): Buffer {
    return this.#bytes.subarray(from, to);
  }
}
