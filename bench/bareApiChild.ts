/** The reference of the API: a Hono route that answers a fixed JSON, in a process of its own. */
import { Hono } from "hono";
import { type HttpServer, serveHttp } from "../src/http/server.ts";
import { answerMessages } from "./childMessages.ts";

let server: HttpServer | null = null;

answerMessages(
  async () => {
    const app = new Hono();
    const data = { sync_run_id: 7011 };
    app.post("/api/v1/syncs/:id/trigger", (context) => context.json({ status: "success", data }));
    server ??= await serveHttp(app, { host: "127.0.0.1", port: 0 });
    return { url: server.url };
  },
  async () => server?.close(),
);
