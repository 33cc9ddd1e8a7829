/** Writes what was said on the wire, many rows at a time, beside the hot path: nobody waits for it, and it may lose rows. */
import { finished } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import { toError } from "../domain/errors.ts";
import { dayOf, makeExchangeDays } from "./exchangeDays.ts";
import { COPY_EXCHANGES, copyLine, type MadeExchange } from "./exchanges.ts";

/** What the store says of itself; pino fits. */
export interface ExchangeLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ExchangeStoreOptions {
  pool: pg.Pool;
  log: ExchangeLogger;
  /** What may wait for Postgres; beyond it the oldest go. */
  maxWaitingBytes?: number;
  /** For tests: how long rows gather. */
  gatherMs?: number;
}

/** Rows for one COPY, encoded. */
interface Chunk {
  bytes: Buffer;
  rows: number;
  days: ReadonlySet<number>;
}

const ROWS_PER_CHUNK = 500;
const GATHER_MS = 250;
const MAX_WAITING_BYTES = 32 << 20;
const RETRY_MS = 500;
/** SQLSTATEs: no partition for a row (or it was dropped); and the class of data that no retry will make storable. */
const NO_PARTITION = "23514";
const BAD_DATA = /^22/;

/** Takes exchanges as they are made and keeps them in Postgres. */
export class ExchangeStore {
  readonly #options: Required<ExchangeStoreOptions>;
  #lines: string[] = [];
  #days = new Set<number>();
  #chunks: Chunk[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #client: pg.PoolClient | null = null;
  readonly #knownDays = new Set<number>();
  readonly #closing = new AbortController();
  #isAbandoned = false;
  #isFailing = false;
  #dropped = 0;

  constructor(options: ExchangeStoreOptions) {
    this.#options = { maxWaitingBytes: MAX_WAITING_BYTES, gatherMs: GATHER_MS, ...options };
  }

  /** Rows that were lost, since too many waited or Postgres could not store them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one exchange; it is written within about a quarter of a second. */
  add(made: MadeExchange): void {
    if (this.#isAbandoned) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(copyLine(made));
    this.#days.add(dayOf(made.startedAt.getTime()));
    if (this.#lines.length >= ROWS_PER_CHUNK) this.#send();
    else if (this.#timer === null) {
      this.#timer = setTimeout(() => this.#send(), this.#options.gatherMs);
      // What waits is written by close, which the end of a process has to call anyway.
      this.#timer.unref();
    }
  }

  /** Resolves once everything taken so far is written or lost. */
  async flush(): Promise<void> {
    this.#send();
    await this.#writing;
  }

  /** Writes what waits, for timeoutMs at most; what comes later is lost. */
  async close(timeoutMs = 5_000): Promise<void> {
    this.#closing.abort();
    const deadline = setTimeout(() => this.#abandon(), timeoutMs);
    await this.flush();
    clearTimeout(deadline);
    this.#isAbandoned = true;
    if (this.#dropped > 0) this.#options.log.warn({ dropped: this.#dropped }, "exchanges.lost");
  }

  #abandon(): void {
    this.#isAbandoned = true;
    for (const { rows } of this.#chunks.splice(0)) this.#dropped += rows;
    // Ends a write that hangs: it fails, finds the store abandoned, and counts its rows.
    this.#client?.release(true);
    this.#client = null;
  }

  /** Closes the chunk that gathers, and sees to it that somebody writes. */
  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#lines.length > 0) {
      const chunk = { bytes: Buffer.from(this.#lines.join("")), rows: this.#lines.length, days: this.#days };
      this.#lines = [];
      this.#days = new Set();
      this.#chunks.push(chunk);
      this.#waitingBytes += chunk.bytes.length;
      this.#dropOldest();
    }
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  #dropOldest(): void {
    const { log, maxWaitingBytes } = this.#options;
    while (this.#waitingBytes > maxWaitingBytes && this.#chunks.length > 1) {
      const oldest = this.#chunks.shift();
      if (oldest === undefined) return;
      if (this.#dropped === 0) log.warn({ maxWaitingBytes }, "exchanges.dropping");
      this.#waitingBytes -= oldest.bytes.length;
      this.#dropped += oldest.rows;
    }
  }

  async #writeAll(): Promise<void> {
    for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
      const failure = await this.#write(chunk).catch(toError);
      if (failure === undefined || this.#isAbandoned) {
        this.#waitingBytes -= chunk.bytes.length;
        if (failure !== undefined) this.#dropped += chunk.rows;
        else if (this.#isFailing) this.#recovered();
        continue;
      }
      await this.#failed(chunk, failure);
    }
  }

  #recovered(): void {
    this.#isFailing = false;
    this.#options.log.info({ dropped: this.#dropped }, "exchanges.stored_again");
  }

  /** Puts a chunk back to be tried again, unless that is of no use. */
  async #failed(chunk: Chunk, failure: Error & { code?: string }): Promise<void> {
    const code = failure.code ?? "";
    if (BAD_DATA.test(code)) {
      // The message could quote a row: the code has to do (I11).
      this.#options.log.warn({ code, rows: chunk.rows }, "exchanges.not_storable");
      this.#waitingBytes -= chunk.bytes.length;
      this.#dropped += chunk.rows;
      return;
    }
    this.#chunks.unshift(chunk);
    if (code === NO_PARTITION && this.#knows(chunk)) {
      this.#knownDays.clear();
      return;
    }
    if (!this.#isFailing) this.#options.log.warn({ code, message: failure.message }, "exchanges.waiting");
    this.#isFailing = true;
    this.#dropOldest();
    const signal = this.#closing.signal;
    if (signal.aborted) await delay(Math.min(RETRY_MS, 100));
    else await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }

  #knows({ days }: Chunk): boolean {
    for (const day of days) if (!this.#knownDays.has(day)) return false;
    return true;
  }

  async #write(chunk: Chunk): Promise<undefined> {
    const client = await this.#options.pool.connect();
    if (this.#isAbandoned) {
      client.release();
      throw new Error("closed");
    }
    this.#client = client;
    let isBroken = true;
    try {
      if (!this.#knows(chunk)) {
        await makeExchangeDays(client, chunk.days);
        for (const day of chunk.days) this.#knownDays.add(day);
      }
      // A crash of Postgres may take the last rows back: they are for people to look at, not for accounts.
      await client.query("begin; set local synchronous_commit = off");
      const copy = client.query(copyStreams.from(COPY_EXCHANGES));
      const done = finished(copy);
      copy.end(chunk.bytes);
      await done;
      await client.query("commit");
      isBroken = false;
    } finally {
      // After a failure it may be in the middle of a COPY: closing it is the rollback.
      if (this.#client === client) client.release(isBroken);
      this.#client = null;
    }
  }
}
