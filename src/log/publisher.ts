/**
 * Pipelined publishes to JetStream: one reply inbox and a map of waiting acknowledgements.
 * The client's own publish builds two stack traces per call, 13 % of a busy worker's time.
 */
import type { Msg, MsgHdrs, NatsConnection, Subscription } from "nats";
import { createInbox } from "nats";
import { AppError, Unavailable } from "../domain/errors.ts";
import type { AppendHeaders } from "./appendHeaders.ts";
import { atTurnEnd } from "./turnEnd.ts";

/** What the server says of a stored message. */
export interface PublishAck {
  sequence: number;
  duplicate: boolean;
}

/** The server refused a publish; `apiCode` is JetStream's err_code. */
export class PublishRefused extends AppError {
  readonly apiCode: number;
  constructor(apiCode: number, description: string) {
    super("PUBLISH_REFUSED", description);
    this.apiCode = apiCode;
  }
}

interface Waiting {
  resolve(ack: PublishAck): void;
  reject(error: Error): void;
  deadline: number;
}

const SWEEP_EVERY_MS = 250;

/** Publishes and resolves with the acknowledgement; any number may be under way at once. */
export class Publisher {
  readonly #nc: NatsConnection;
  readonly #inbox: string;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<string, Waiting>();
  readonly #subscription: Subscription;
  #sweeper: NodeJS.Timeout | null = null;
  #next = 0;

  constructor(nc: NatsConnection, timeoutMs = 2_000) {
    this.#nc = nc;
    this.#timeoutMs = timeoutMs;
    this.#inbox = createInbox();
    this.#subscription = nc.subscribe(`${this.#inbox}.*`, {
      callback: (_error, message) => this.#onReply(message),
    });
  }

  /**
   * @throws PublishRefused when the server says no, Unavailable when no answer comes in time: the outcome is
   * then unknown, and the caller has to read before it tries again.
   */
  publish(subject: string, payload: Uint8Array, given: MsgHdrs | AppendHeaders): Promise<PublishAck> {
    // The client asks headers that it sends for nothing but their bytes.
    const headers = given as MsgHdrs;
    return new Promise((resolve, reject) => {
      const token = (this.#next++).toString(36);
      this.#waiting.set(token, { resolve, reject, deadline: Date.now() + this.#timeoutMs });
      this.#sweeper ??= setInterval(() => this.#expire(), SWEEP_EVERY_MS).unref();
      atTurnEnd(() => {
        // Not after its time: the caller takes an unanswered publish for one whose outcome can be read.
        if (!this.#waiting.has(token)) return;
        try {
          this.#nc.publish(subject, payload, { headers, reply: `${this.#inbox}.${token}` });
        } catch (error) {
          this.#waiting.delete(token);
          reject(new Unavailable("the connection to NATS is closed", { cause: error }));
        }
      });
    });
  }

  /** Ends all waiting publishes as unknown. */
  close(): void {
    this.#stopSweeping();
    this.#subscription.unsubscribe();
    for (const waiting of this.#waiting.values()) waiting.reject(new Unavailable("the log is closing"));
    this.#waiting.clear();
  }

  #onReply(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    if (message.headers?.code === 503) {
      waiting.reject(new Unavailable("no stream takes this subject now: is JetStream up?"));
      return;
    }
    const answer = message.json<{
      seq?: number;
      duplicate?: boolean;
      error?: { err_code: number; description: string };
    }>();
    if (answer.error !== undefined)
      waiting.reject(new PublishRefused(answer.error.err_code, answer.error.description));
    else waiting.resolve({ sequence: answer.seq ?? 0, duplicate: answer.duplicate ?? false });
  }

  #stopSweeping(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#sweeper = null;
  }

  #expire(): void {
    // An idle process is not woken for nothing.
    if (this.#waiting.size === 0) this.#stopSweeping();
    const now = Date.now();
    for (const [token, waiting] of this.#waiting) {
      // Tokens were issued in order, with one time-out: the first that is not due ends the search.
      if (waiting.deadline > now) return;
      this.#waiting.delete(token);
      waiting.reject(new Unavailable(`no acknowledgement from NATS within ${this.#timeoutMs} ms`));
    }
  }
}
