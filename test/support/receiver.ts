/** A webhook target on the loopback interface that behaves as badly as a test asks, and keeps what it was sent. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How one request is answered. */
export interface Answer {
  /** 200 unless another is named. */
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Waits before it answers. */
  delayMs?: number;
  /** Never answers, until the receiver closes. */
  hang?: boolean;
  /** Breaks the connection instead of answering. */
  reset?: boolean;
}

/** The same answer always, or one that depends on the request and on its number, counted from 1. */
export type Behaviour = Answer | ((request: ReceivedRequest, attempt: number) => Answer | Promise<Answer>);

/** One request as it came over the wire. */
export interface ReceivedRequest {
  method: string;
  /** With the query string. */
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** When its last byte had come, in milliseconds since the epoch. */
  at: number;
}

/** A running receiver. */
export interface Receiver {
  url: string;
  /** Every request so far, oldest first. */
  requests: readonly ReceivedRequest[];
  /** Changes how the next requests are answered. */
  behave(behaviour: Behaviour): void;
  /** Resolves to all requests once there are n of them, or once the predicate holds; rejects when that takes too long. */
  waitFor(
    wanted: number | ((requests: readonly ReceivedRequest[]) => boolean),
    timeoutMs?: number,
  ): Promise<readonly ReceivedRequest[]>;
  close(): Promise<void>;
}

const DEFAULT_WAIT_MS = 10_000;

/** Starts a receiver on a port that the system chooses. */
export async function startReceiver(behaviour: Behaviour = {}): Promise<Receiver> {
  let current = behaviour;
  const requests: ReceivedRequest[] = [];
  const waiters = new Set<() => void>();
  const pauses = new Set<NodeJS.Timeout>();

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = await receive(incoming);
    requests.push(received);
    const attempt = requests.length;
    for (const check of waiters) check();
    const {
      status = 200,
      headers = {},
      body = "",
      delayMs,
      hang,
      reset,
    } = typeof current === "function" ? await current(received, attempt) : current;
    if (delayMs !== undefined) {
      await new Promise<void>((resolve) => pauses.add(setTimeout(resolve, delayMs)));
    }
    if (hang === true) return;
    if (reset === true) {
      incoming.socket.resetAndDestroy();
      return;
    }
    response.writeHead(status, headers).end(body);
  }

  const server = createServer((incoming, response) => {
    // A sender that gives up half-way is one of the things under test, not an error of the receiver.
    answer(incoming, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    behave(next) {
      current = next;
    },
    async waitFor(wanted, timeoutMs = DEFAULT_WAIT_MS) {
      const isMet = () => (typeof wanted === "number" ? requests.length >= wanted : wanted(requests));
      if (isMet()) return [...requests];
      return await new Promise((resolve, reject) => {
        const tooLate = setTimeout(() => {
          waiters.delete(check);
          const want = typeof wanted === "number" ? `${wanted} requests` : "what was waited for";
          reject(new Error(`the receiver got ${requests.length} requests in ${timeoutMs} ms, not ${want}`));
        }, timeoutMs);
        function check(): void {
          if (!isMet()) return;
          clearTimeout(tooLate);
          waiters.delete(check);
          resolve([...requests]);
        }
        waiters.add(check);
      });
    },
    async close() {
      for (const pause of pauses) clearTimeout(pause);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function receive(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: incoming.headers,
    body: Buffer.concat(chunks),
    at: Date.now(),
  };
}
