/** A door in front of a shared server that a test can shut: what goes through it breaks, and the server itself is left alone. */
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { afterAll } from "vitest";

/** A running gate; it begins open. */
export interface TcpGate {
  /** The address of the server, with the gate in its place. */
  url: string;
  /** Breaks every connection, and each new one at once, until it is opened again. */
  cut(): void;
  /**
   * The server vanishes without a word, and is told that its clients went: connections stay and nothing comes through
   * any more, new ones are not answered until it is opened again.
   */
  vanish(): void;
  open(): void;
  /** Resolves once so many connections were turned away since it was cut; rejects when that takes a minute. */
  refused(count: number): Promise<void>;
}

const opened: (() => Promise<void>)[] = [];

// Registered when a test file imports this one: a hook registered inside a test would never run.
afterAll(async () => {
  await Promise.all(opened.splice(0).map((close) => close()));
});

/** Opens a gate to the server of that address, on a port that the system chooses. */
export async function openGate(serverUrl: string): Promise<TcpGate> {
  const target = new URL(serverUrl);
  const pairs = new Set<[client: Socket, server: Socket]>();
  const waiters = new Set<() => void>();
  let isCut = false;
  let isGone = false;
  /** Of clients whose server vanished. */
  const forgotten = new Set<Socket>();
  let refusals = 0;

  const forget = (client: Socket): void => {
    forgotten.add(client);
    // What it still says is heard by nobody, nor is its farewell: for one in return it waits in vain.
    client.once("close", () => forgotten.delete(client)).resume();
  };
  const gate = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    client.on("error", () => undefined);
    if (isCut) {
      client.resetAndDestroy();
      refusals += 1;
      for (const check of waiters) check();
      return;
    }
    if (isGone) {
      forget(client);
      return;
    }
    const server = dial({ host: target.hostname, port: Number(target.port), noDelay: true });
    const pair: [Socket, Socket] = [client, server];
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      if (forgotten.has(client)) return;
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("error", () => undefined).once("close", end);
    client.pipe(server).pipe(client);
  });
  await new Promise<void>((resolve, reject) => {
    gate.once("error", reject);
    gate.listen(0, "127.0.0.1", resolve);
  });
  const breakAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    for (const socket of forgotten) socket.resetAndDestroy();
  };
  opened.push(async () => {
    const closed = new Promise<void>((resolve) => gate.close(() => resolve()));
    breakAll();
    await closed;
  });
  const url = new URL(serverUrl);
  url.hostname = "127.0.0.1";
  url.port = String((gate.address() as AddressInfo).port);
  return {
    url: url.href,
    cut() {
      isCut = true;
      refusals = 0;
      breakAll();
    },
    vanish() {
      isGone = true;
      for (const [client, server] of pairs) {
        client.unpipe();
        server.unpipe();
        forget(client);
        server.resetAndDestroy();
      }
    },
    open() {
      isCut = false;
      isGone = false;
    },
    refused: (count) =>
      new Promise((resolve, reject) => {
        const tooLate = setTimeout(() => {
          waiters.delete(check);
          reject(new Error(`the gate turned ${refusals} connections away in a minute, not ${count}`));
        }, 60_000);
        const check = (): void => {
          if (refusals < count) return;
          clearTimeout(tooLate);
          waiters.delete(check);
          resolve();
        };
        waiters.add(check);
        check();
      }),
  };
}
