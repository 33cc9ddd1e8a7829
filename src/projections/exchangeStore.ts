/** Keeps what was said on the wire, many exchanges to a row, beside the hot path: nobody waits for it, and it may lose some. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { toError } from "../domain/errors.ts";
import { dayOf, makeExchangeDays } from "./exchangeDays.ts";
import { exchangeLine, type MadeExchange, packLines } from "./exchanges.ts";

/** What the store says of itself; pino fits. */
export interface ExchangeLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ExchangeStoreOptions {
  pool: pg.Pool;
  log: ExchangeLogger;
  /** What may wait for Postgres, in characters; beyond it the oldest go. */
  maxWaitingChars?: number;
  /** For tests: how long exchanges gather. */
  gatherMs?: number;
  now?: () => number;
}

/** What becomes one row. */
interface Chunk {
  keptAt: Date;
  targets: string[];
  exchanges: number;
  lines: string;
}

const EXCHANGES_PER_CHUNK = 500;
const GATHER_MS = 250;
const MAX_WAITING_CHARS = 32 << 20;
const RETRY_MS = 500;
/** SQLSTATE: no partition for a row, or it was dropped. */
const NO_PARTITION = "23514";

const INSERT = "insert into egret.exchanges (kept_at, targets, exchanges, lines) values ($1, $2, $3, $4)";

/** Takes exchanges as they are made and keeps them in Postgres. */
export class ExchangeStore {
  readonly #options: Required<ExchangeStoreOptions>;
  #lines: string[] = [];
  readonly #targets = new Set<string>();
  #chunks: Chunk[] = [];
  #waitingChars = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #client: pg.PoolClient | null = null;
  readonly #knownDays = new Set<number>();
  readonly #closing = new AbortController();
  #isAbandoned = false;
  #isFailing = false;
  #dropped = 0;

  constructor(options: ExchangeStoreOptions) {
    this.#options = { maxWaitingChars: MAX_WAITING_CHARS, gatherMs: GATHER_MS, now: Date.now, ...options };
  }

  /** Exchanges that were lost, since too many waited or Postgres could not store them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one exchange; it is written within about a quarter of a second. */
  add(made: MadeExchange): void {
    if (this.#isAbandoned) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(exchangeLine(made));
    this.#targets.add(`${made.targetKind}/${made.targetId}`);
    if (this.#lines.length >= EXCHANGES_PER_CHUNK) this.#send();
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
    for (const { exchanges } of this.#chunks.splice(0)) this.#dropped += exchanges;
    // Ends a write that hangs: it fails, finds the store abandoned, and counts what it had.
    this.#client?.release(true);
    this.#client = null;
  }

  /** Closes the chunk that gathers, and sees to it that somebody writes. */
  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#lines.length > 0) {
      const keptAt = new Date(this.#options.now());
      const chunk = {
        keptAt,
        targets: [...this.#targets],
        exchanges: this.#lines.length,
        lines: this.#lines.join(""),
      };
      this.#lines = [];
      this.#targets.clear();
      this.#chunks.push(chunk);
      this.#waitingChars += chunk.lines.length;
      this.#dropOldest();
    }
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  #dropOldest(): void {
    const { log, maxWaitingChars } = this.#options;
    while (this.#waitingChars > maxWaitingChars && this.#chunks.length > 1) {
      const oldest = this.#chunks.shift();
      if (oldest === undefined) return;
      if (this.#dropped === 0) log.warn({ maxWaitingChars }, "exchanges.dropping");
      this.#waitingChars -= oldest.lines.length;
      this.#dropped += oldest.exchanges;
    }
  }

  async #writeAll(): Promise<void> {
    for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
      const failure = await this.#write(chunk).catch(toError);
      if (failure === undefined || this.#isAbandoned) {
        this.#waitingChars -= chunk.lines.length;
        if (failure !== undefined) this.#dropped += chunk.exchanges;
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

  /** Puts a chunk back to be tried again. */
  async #failed(chunk: Chunk, failure: Error & { code?: string }): Promise<void> {
    const code = failure.code ?? "";
    this.#chunks.unshift(chunk);
    if (code === NO_PARTITION && this.#knownDays.delete(dayOf(chunk.keptAt.getTime()))) return;
    if (!this.#isFailing) this.#options.log.warn({ code, message: failure.message }, "exchanges.waiting");
    this.#isFailing = true;
    this.#dropOldest();
    const signal = this.#closing.signal;
    if (signal.aborted) await delay(Math.min(RETRY_MS, 100));
    else await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }

  async #write({ keptAt, targets, exchanges, lines }: Chunk): Promise<undefined> {
    const bytes = await packLines(lines);
    const client = await this.#options.pool.connect();
    if (this.#isAbandoned) {
      client.release();
      throw new Error("closed");
    }
    this.#client = client;
    let isBroken = true;
    try {
      const day = dayOf(keptAt.getTime());
      if (!this.#knownDays.has(day)) {
        await makeExchangeDays(client, [day]);
        this.#knownDays.add(day);
      }
      // A crash of Postgres may take the last rows back: they are for people to look at, not for accounts.
      await client.query("begin; set local synchronous_commit = off");
      await client.query(INSERT, [keptAt, targets, exchanges, bytes]);
      await client.query("commit");
      isBroken = false;
    } finally {
      // After a failure it may be in the middle of its transaction: closing it is the rollback.
      if (this.#client === client) client.release(isBroken);
      this.#client = null;
    }
  }
}
