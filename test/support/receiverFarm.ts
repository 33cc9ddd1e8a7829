/**
 * Webhook targets on the loopback interface that can answer anything, HTTP or not. They speak raw TCP or TLS: a server
 * library would not let us lie.
 */
import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Certificate } from "./certificates.ts";
import { type Answer, answers, type FarmRequest, type Rule, type Step } from "./farmAnswers.ts";

/** How a farm is set up. */
export interface FarmOptions {
  rule?: Rule;
  /** Speaks TLS with this certificate. */
  tls?: Certificate;
  /** False for a soak: requests are handed to the rule and then forgotten. */
  keepsRequests?: boolean;
}

/** A running receiver. */
export interface ReceiverFarm {
  /** Without a path or a slash at its end; `localhost` in it is 127.0.0.1. */
  url: string;
  port: number;
  /** Every request so far, oldest first. */
  requests: readonly FarmRequest[];
  /** Changes how the next requests are answered. */
  answerWith(rule: Rule): void;
  /** What new connections get before a byte of them is read; null, at first, for nothing. */
  greetWith(answer: Answer | null): void;
  /** Connections that are open now, and how many there ever were. */
  connections(): { open: number; ever: number };
  close(): Promise<void>;
}

const HEAD_END = Buffer.from("\r\n\r\n");

class Farm {
  rule: Rule;
  greeting: Answer | null = null;
  readonly keepsRequests: boolean;
  readonly requests: FarmRequest[] = [];
  readonly open = new Set<Socket>();
  readonly pauses = new Set<NodeJS.Timeout>();
  received = 0;
  connected = 0;

  constructor({ rule = answers.ok, keepsRequests = true }: FarmOptions) {
    this.rule = rule;
    this.keepsRequests = keepsRequests;
  }

  accept(socket: Socket): void {
    this.open.add(socket);
    socket.setNoDelay(true);
    // A sender that gives up half-way is one of the things under test, not an error of the receiver.
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.open.delete(socket));
    this.connected += 1;
  }

  async pause(ms: number): Promise<void> {
    const done = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.pauses.delete(timer);
      done.resolve();
    }, ms);
    this.pauses.add(timer);
    await done.promise;
  }
}

/** Reads the requests of one connection and plays the answer of each before it looks at the next. */
class Conversation {
  readonly #farm: Farm;
  readonly #socket: Socket;
  /** The connection below TLS: only that one can be reset. */
  readonly #wire: Socket;
  readonly #connection: number;
  #pending: Buffer = Buffer.alloc(0);
  #count = 0;
  #isBusy = false;
  /** The greeting is the answer to the first request, which has not come yet. */
  #isAhead = false;

  constructor(farm: Farm, { socket, wire }: { socket: Socket; wire: Socket }) {
    this.#farm = farm;
    this.#socket = socket;
    this.#wire = wire;
    this.#connection = farm.connected;
  }

  begin(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      void this.#serve();
    });
    if (this.#farm.greeting !== null) void this.#greet(this.#farm.greeting);
  }

  async #greet(greeting: Answer): Promise<void> {
    this.#isBusy = true;
    this.#isAhead = true;
    this.#isBusy = !(await this.#play(greeting));
    void this.#serve();
  }

  async #serve(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const wasAhead = this.#isAhead;
      this.#isAhead = false;
      if (wasAhead) continue;
      const { rule } = this.#farm;
      const goesOn = await this.#play(typeof rule === "function" ? rule(next.request, next.body) : rule);
      // Whoever hangs or has gone reads no more: it stays busy.
      if (!goesOn) return;
    }
    this.#isBusy = false;
  }

  /** Takes one whole request out of what has come; null while there is none. */
  #next(): { request: FarmRequest; body: Buffer } | null {
    const headEnd = this.#pending.indexOf(HEAD_END);
    if (headEnd < 0) return null;
    const [first = "", ...lines] = this.#pending.toString("latin1", 0, headEnd).split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const bodyStart = headEnd + HEAD_END.length;
    const bodyEnd = bodyStart + Number(headers["content-length"] ?? 0);
    if (this.#pending.length < bodyEnd) return null;
    const body = this.#pending.subarray(bodyStart, bodyEnd);
    this.#pending = this.#pending.subarray(bodyEnd);
    const [method = "", path = ""] = first.split(" ");
    const farm = this.#farm;
    this.#count += 1;
    farm.received += 1;
    const request: FarmRequest = {
      number: farm.received,
      method,
      path,
      headers,
      bodyBytes: body.length,
      bodySha256: createHash("sha256").update(body).digest("hex"),
      at: Date.now(),
      connection: this.#connection,
      onConnection: this.#count,
    };
    if (farm.keepsRequests) farm.requests.push(request);
    return { request, body };
  }

  /** True when the connection can take another request after it. */
  async #play(answer: Answer): Promise<boolean> {
    for (const step of answer) {
      if (this.#socket.destroyed || !(await this.#do(step))) return false;
    }
    return true;
  }

  async #do(step: Step): Promise<boolean> {
    switch (step.kind) {
      case "send":
        this.#socket.write(step.bytes, "latin1");
        return true;
      case "drip":
        for (const character of step.bytes) {
          if (this.#socket.destroyed) return false;
          this.#socket.write(character, "latin1");
          await this.#farm.pause(step.everyMs);
        }
        return true;
      case "wait":
        await this.#farm.pause(step.ms);
        return true;
      case "hang":
        return false;
      case "reset":
        this.#wire.resetAndDestroy();
        return false;
      case "close":
        this.#socket.end();
        return false;
    }
  }
}

function converse(farm: Farm, sockets: { socket: Socket; wire: Socket }): void {
  const conversation = new Conversation(farm, sockets);
  conversation.begin();
}

function listener(farm: Farm, tls: Certificate | undefined): Server {
  if (tls === undefined) {
    return createServer((socket) => {
      farm.accept(socket);
      converse(farm, { socket, wire: socket });
    });
  }
  const wires = new Map<number, Socket>();
  const server = createTlsServer(tls, (socket) => {
    socket.on("error", () => socket.destroy());
    converse(farm, { socket, wire: wires.get(socket.remotePort ?? 0) ?? socket });
  });
  server.on("connection", (wire: Socket) => {
    farm.accept(wire);
    const { remotePort = 0 } = wire;
    wires.set(remotePort, wire);
    wire.once("close", () => wires.delete(remotePort));
  });
  // A handshake that fails is the sender's finding.
  server.on("tlsClientError", () => undefined);
  return server;
}

/** Starts a receiver on a port that the system chooses. */
export async function startReceiverFarm(options: FarmOptions = {}): Promise<ReceiverFarm> {
  const farm = new Farm(options);
  const server = listener(farm, options.tls);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: options.tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    port,
    requests: farm.requests,
    answerWith(rule) {
      farm.rule = rule;
    },
    greetWith(answer) {
      farm.greeting = answer;
    },
    connections: () => ({ open: farm.open.size, ever: farm.connected }),
    async close() {
      for (const pause of farm.pauses) clearTimeout(pause);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of farm.open) socket.destroy();
      await closed;
    },
  };
}
