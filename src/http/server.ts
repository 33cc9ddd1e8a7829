/** Serves a Hono app on a port, and closes without cutting off answers under way. */
import type { Server } from "node:http";
import { type HttpBindings, serve } from "@hono/node-server";
import type { Hono } from "hono";
import { Unavailable } from "../domain/errors.ts";

/** A listening server. */
export interface HttpServer {
  /** Address under which it answers, such as `http://127.0.0.1:4747`. */
  url: string;
  close(): Promise<void>;
}

/** What answers requests: a Hono app fits. */
export type Served = Pick<Hono<{ Bindings: HttpBindings }>, "fetch">;

/** @throws Unavailable when the port is taken or not allowed. */
export function serveHttp(app: Served, { host, port }: { host: string; port: number }): Promise<HttpServer> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, (info) => {
      const shown = info.family === "IPv6" ? `[${info.address}]` : info.address;
      resolve({ url: `http://${shown}:${info.port}`, close: () => closeServer(server) });
    }) as Server;
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "another program has it: set EGRET_HTTP_PORT" : cause.message;
      reject(new Unavailable(`cannot listen on ${host}:${port}: ${why}`, { cause }));
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
