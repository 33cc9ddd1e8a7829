/** Readers that are slow or stop reading do not hold up the process's end, and others get the whole of their answer. */
import { connect, type Socket } from "node:net";
import { Hono } from "hono";
import { Client } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type NodeEnv, OpenAnswers } from "../../src/http/openAnswers.ts";
import { serveHttp } from "../../src/http/server.ts";
import { testApi } from "../support/api.ts";
import { applyYaml, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { startReceiver } from "../support/receiver.ts";

/** Asks for a path and reads the beginning of the answer, then nothing more until told to. */
async function readABit(url: string): Promise<Socket> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  // A cut connection is an end like another.
  socket.on("error", () => {});
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  const beginning = Promise.withResolvers<string>();
  socket.once("data", (bytes) => {
    socket.pause();
    beginning.resolve(bytes.toString());
  });
  expect(await beginning.promise).toContain("HTTP/1.1 200");
  return socket;
}

function rest(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("latin1").on("data", (part: string) => (text += part));
    socket.once("close", () => resolve(text));
    socket.resume();
  });
}

const MIB = 1_048_576;
/** More than the buffers of a connection take. */
const PIECES = 64;

/** A server with one long answer. */
async function longAnswer(lastCallMs: number) {
  const open = new OpenAnswers(lastCallMs);
  let sent = 0;
  let isCanceled = false;
  const app = new Hono<NodeEnv>().get("/long", (context) => {
    open.add(context.env.outgoing);
    const body = new ReadableStream({
      pull(controller) {
        sent += 1;
        if (sent > PIECES) controller.close();
        else controller.enqueue(new Uint8Array(MIB).fill(46));
      },
      cancel() {
        isCanceled = true;
      },
    });
    return context.body(body);
  });
  const server = await serveHttp(app, { host: "127.0.0.1", port: 0 });
  return { open, server, isCanceled: () => isCanceled };
}

describe("an answer under way when the process closes", () => {
  test("is cut off when its reader does not come to the end", async () => {
    const { open, server, isCanceled } = await longAnswer(1);
    const socket = await readABit(`${server.url}/long`);
    await open.close();
    await server.close();
    await expect.poll(() => open.count).toBe(0);
    await expect.poll(isCanceled).toBe(true);
    // No end that looks like one: the last chunk of a whole answer is empty.
    expect((await rest(socket)).endsWith("\r\n0\r\n\r\n")).toBe(false);
  });

  test("goes to its end where the reader goes on in time", async () => {
    const { open, server } = await longAnswer(600_000);
    const socket = await readABit(`${server.url}/long`);
    await open.close();
    const isClosed = server.close();
    const text = await rest(socket);
    expect(text.endsWith("\r\n0\r\n\r\n")).toBe(true);
    expect(text.split(".").length - 1).toBeGreaterThan((PIECES - 2) * MIB);
    await isClosed;
    await expect.poll(() => open.count).toBe(0);
  });

  test("is not begun any more after the last call", async () => {
    const { open, server } = await longAnswer(1);
    const held = await readABit(`${server.url}/long`);
    await open.close();
    await expect.poll(() => open.count).toBe(0);
    await expect(fetch(`${server.url}/long`)).rejects.toThrow("fetch failed");
    held.destroy();
    await server.close();
  });
});

test("Egret ends although somebody holds an export and does not read it", async () => {
  const warehouse = await testDatabase();
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    "create table people as select n as id, repeat(n::text, 2000) as name from generate_series(1, 4000) n",
  );
  await source.end();
  const receiver = await startReceiver();
  onTestFinished(() => receiver.close());
  const egret = await testEgret();
  await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations: { hook: { type: webhook, url: "${receiver.url}", batch_size: 1000, rate_limit_per_second: null } }
syncs:
  people: { table: public.people, source: warehouse, destination: hook, key: id }
`,
  );
  const api = await testApi(egret);
  const { runId } = await triggerAndWait(egret, { sync: "people" });
  const address = async () => (await api.get(`/sync_runs/${runId}/records_export`)).body.urls?.[0];
  await expect.poll(address, { timeout: 30_000 }).toBeDefined();
  const socket = await readABit(await address());
  await egret.close();
  expect((await rest(socket)).endsWith("\r\n0\r\n\r\n")).toBe(false);
}, 120_000);
