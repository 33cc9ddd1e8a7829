/** Serves a Hono app on a port, and closes without cutting off answers under way, unless their readers hold it up. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, type Socket, Server as SocketServer } from "node:net";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import type { Hono } from "hono";
import { Unavailable } from "../domain/errors.ts";
import { answerUnreadable, answerUnroutable, lacksHost } from "./badRequests.ts";

/** A listening server. */
export interface HttpServer {
  /** Address under which it answers, such as `http://127.0.0.1:4747`. */
  url: string;
  close(): Promise<void>;
}

/** What answers requests: a Hono app fits. */
export type Served = Pick<Hono<{ Bindings: HttpBindings }>, "fetch">;

/** Where a server listens. */
export interface ServeOptions {
  host: string;
  port: number;
  /** How long answers under way have once it closes, ms. */
  lastCallMs?: number;
  /** How long a request may take to say what it is, ms: its body has the five minutes that Node gives the whole. */
  headersTimeoutMs?: number;
}

/**
 * Twice what exports have (openAnswers.ts), which are the longest answers, and a sixth of the time that our compose file
 * gives the process to drain: the workers' part comes after this. Source: ours.
 */
const LAST_CALL_MS = 10_000;
/** Source: Node's own. */
const HEADERS_TIMEOUT_MS = 60_000;

/** @throws Unavailable when the port is taken or not allowed. */
export function serveHttp(
  app: Served,
  { host, port, lastCallMs = LAST_CALL_MS, headersTimeoutMs = HEADERS_TIMEOUT_MS }: ServeOptions,
): Promise<HttpServer> {
  // Of HTTP/1.0 alone, where nothing has to say which host is asked.
  const answer = getRequestListener(app.fetch, { hostname: "localhost", errorHandler: answerUnroutable });
  const limits = { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: headersTimeoutMs / 2 };
  // Node would refuse a request without a host by an empty answer.
  const server = createServer({ ...limits, requireHostHeader: false }, (request, response) => {
    if (!lacksHost(request, response)) void answer(request, response);
  });
  answerUnreadable(server);
  const open = new Set<Socket>();
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "another program has it: set EGRET_HTTP_PORT" : cause.message;
      reject(new Unavailable(`cannot listen on ${host}:${port}: ${why}`, { cause }));
    });
    server.listen(port, host, () => {
      const info = server.address() as AddressInfo;
      const shown = info.family === "IPv6" ? `[${info.address}]` : info.address;
      resolve({ url: `http://${shown}:${info.port}`, close: () => closeServer(server, open, lastCallMs) });
    });
  });
}

/** Looks again for connections that are idle now, ms. */
const LOOK_EVERY_MS = 50;

function closeServer(server: Server, open: ReadonlySet<Socket>, lastCallMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A reader who stopped in the middle would be waited for without end.
    const lastCall = setTimeout(() => server.closeAllConnections(), lastCallMs);
    // To Node a connection is idle once its answer is written, although most of that may still be on its way to a reader.
    const closeIdle = () => {
      if ([...open].every(({ writableLength }) => writableLength === 0)) server.closeIdleConnections();
    };
    const looking = setInterval(closeIdle, LOOK_EVERY_MS);
    // As a server of sockets: closing it as one of HTTP closes what is idle to Node.
    SocketServer.prototype.close.call(server, () => {
      clearTimeout(lastCall);
      clearInterval(looking);
      resolve();
    });
    closeIdle();
    // Whoever goes on asking over an open connection would hold it until the last call, and then lose an answer.
    server.prependListener("request", (_request: IncomingMessage, response: ServerResponse) => {
      response.setHeader("Connection", "close");
    });
  });
}
