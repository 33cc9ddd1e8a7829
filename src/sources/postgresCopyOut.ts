/** COPY … TO STDOUT as a stream: the server sends a message per row, which are joined here with as little work as can be. */
import { type Duplex, Readable } from "node:stream";
import type { Connection, Submittable } from "pg";
import { bytesPassed } from "./youngGeneration.ts";

/** First bytes of the messages that a server sends while it copies. Source: the protocol of Postgres, version 3. */
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
/** The answer to the query, notices, parameters and notifications: they say nothing about the rows. */
const PASSED_OVER: ReadonlySet<number> = new Set([0x48, 0x4e, 0x53, 0x41]);
/** The first byte of a message and its length, which counts itself. */
const HEAD_BYTES = 5;
const LENGTH_BYTES = 4;

type DataListener = (chunk: Buffer) => void;

/**
 * A query for pg's `Client.query`, and the stream of what it copies. While it runs it reads the connection's socket
 * itself: parsing each row's message as pg does would take longer than all else that is done with the row.
 */
export class CopyOut extends Readable implements Submittable {
  readonly #sql: string;
  #socket: Duplex | null = null;
  #listeners: DataListener[] = [];
  /** The beginning of a message whose length has not come yet. */
  #head: Buffer = Buffer.alloc(0);
  /** Bytes that are still to come of the message at hand. */
  #left = 0;
  #isData = false;

  constructor(sql: string) {
    super({ highWaterMark: 1 << 18 });
    this.#sql = sql;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    this.#socket = stream;
    this.#listeners = stream.listeners("data") as DataListener[];
    stream.removeAllListeners("data");
    stream.on("data", this.#onData);
    connection.query(this.#sql);
  }

  handleError(error: Error): void {
    this.destroy(error);
  }

  handleCommandComplete(): void {
    // The rows have been counted by whoever read them.
  }

  handleReadyForQuery(): void {
    // The stream ended with the last row.
  }

  override _read(): void {
    this.#socket?.resume();
  }

  /** What is still to come is read and thrown away, so that the connection can be used, or ended, behind it. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket?.resume();
    done(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    bytesPassed(chunk.length);
    const bytes = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    this.#head = bytes.subarray(0, 0);
    let filled = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        if (bytes.length - at < HEAD_BYTES) {
          // Copied, lest a few bytes keep all of the chunk.
          this.#head = Buffer.from(bytes.subarray(at));
          break;
        }
        const code = bytes[at] ?? 0;
        if (code !== COPY_DATA && !PASSED_OVER.has(code)) {
          this.#finish(bytes.subarray(0, filled), bytes.subarray(at));
          return;
        }
        this.#isData = code === COPY_DATA;
        this.#left = bytes.readUInt32BE(at + 1) - LENGTH_BYTES;
        at += HEAD_BYTES;
      }
      const end = Math.min(bytes.length, at + this.#left);
      if (this.#isData) {
        // Moved together where they are: heads only go, so nothing is overwritten that is still to be read.
        bytes.copyWithin(filled, at, end);
        filled += end - at;
      }
      this.#left -= end - at;
      at = end;
    }
    if (filled > 0 && !this.destroyed && !this.push(bytes.subarray(0, filled))) this.#socket?.pause();
  };

  /** The copy is done, or failed: what follows is pg's again. */
  #finish(rows: Buffer, rest: Buffer): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.off("data", this.#onData);
    if (!this.destroyed && rows.length > 0) this.push(rows);
    if (rest[0] === COPY_DONE && !this.destroyed) this.push(null);
    for (const listener of this.#listeners) socket?.on("data", listener);
    socket?.resume();
    for (const listener of this.#listeners) listener(rest);
  }
}
