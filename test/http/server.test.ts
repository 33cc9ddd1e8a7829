/** The server below the routes: how it ends, and what it answers to what is no request. */
import { connect, type Socket } from "node:net";
import { Hono } from "hono";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { type ServeOptions, serveHttp } from "../../src/http/server.ts";

const HELD_LENGTH = 32 * 1_048_576;

/** A server with an answer larger than the buffers of a connection, one that waits to be let go, and one without an end. */
async function serve(options: Partial<ServeOptions> = {}) {
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  const app = new Hono()
    .get("/large", (context) => context.text(".".repeat(HELD_LENGTH)))
    .get("/held", async (context) => {
      waiting += 1;
      await gate.promise;
      return context.text("let go");
    })
    .get("/drip", (context) => context.body(new ReadableStream({ start: (body) => body.enqueue("some") })))
    .post("/body", async (context) => context.text(await context.req.text()))
    .all("/", (context) => context.text("here"))
    // A body that breaks off: nobody is left to tell.
    .onError((_error, context) => context.text("failed", 500));
  const server = await serveHttp(app, { host: "127.0.0.1", port: 0, ...options });
  return { server, release: gate.resolve, waiting: () => waiting };
}

/** A connection that has sent a text. */
function send(url: string, text: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  // A cut connection is an end like another.
  socket.on("error", () => {});
  socket.write(text);
  return socket;
}

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

/** Reads until something is there, then nothing more. */
function beginning(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("data", (bytes) => {
      socket.pause();
      resolve(bytes.toString("latin1"));
    });
  });
}

/** Everything from now until the connection ends. */
function rest(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.once("close", () => resolve(Buffer.concat(parts).toString("latin1")));
    socket.resume();
  });
}

describe("a server that closes", () => {
  test.each(["/large", "/drip"])("cuts off a reader who stopped in the middle of %s", async (path) => {
    const { server } = await serve({ lastCallMs: 1 });
    const socket = send(server.url, get(path));
    const begun = await beginning(socket);
    expect(begun).toContain("HTTP/1.1 200");
    await server.close();
    const text = begun + (await rest(socket));
    expect(text.length).toBeLessThan(HELD_LENGTH);
    expect(text.endsWith("\r\n0\r\n\r\n")).toBe(false);
  });

  test("waits for one who reads on", async () => {
    const { server } = await serve({ lastCallMs: 600_000 });
    const socket = send(server.url, get("/large"));
    const begun = await beginning(socket);
    const isClosed = server.close();
    const text = begun + (await rest(socket));
    expect(text.slice(text.indexOf("\r\n\r\n") + 4)).toHaveLength(HELD_LENGTH);
    await isClosed;
  });

  test("answers what comes on an open connection, and says that it is the last", async () => {
    const { server, release, waiting } = await serve({ lastCallMs: 600_000 });
    const socket = send(server.url, get("/held"));
    await expect.poll(waiting).toBe(1);
    const idle = send(server.url, get("/"));
    expect(await beginning(idle)).toContain("here");
    const isClosed = server.close();
    expect(await rest(idle)).toBe("");
    socket.write(get("/held"));
    await expect.poll(waiting).toBe(2);
    release();
    const text = await rest(socket);
    expect(text.match(/let go/g)).toHaveLength(2);
    expect(text.match(/^connection: (.+)$/gim)).toEqual(["Connection: keep-alive", "Connection: close"]);
    await isClosed;
  });
});

describe("what is no request", () => {
  const servers: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
  async function answerTo(text: string, options: Partial<ServeOptions> = {}): Promise<string> {
    const { server } = await serve(options);
    servers.push(server);
    return rest(send(server.url, text));
  }

  test.each([
    ["no HTTP", 400, "EHLO mail.example\r\n\r\n", "This is no HTTP request."],
    [
      "a malformed header",
      400,
      "GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
      "This is no HTTP request.",
    ],
    ["no Host", 400, "GET / HTTP/1.1\r\n\r\n", "The request has no Host header."],
    ["a Host that is none", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "The address of this request"],
    ["a backslash in the path", 400, get("/a\\b"), "The address of this request"],
    ["headers that are too large", 431, get("/", `X-Long: ${"x".repeat(20_000)}\r\n`), "16 KiB at most"],
    ["an expectation", 417, get("/", "Expect: a-miracle\r\n"), "Of expectations only"],
  ])("%s is answered with the API's error body", async (_name, status, text, message) => {
    expectRefusal(await answerTo(text), status, message);
  });

  test.each([
    ["nothing behind a first line", "GET / HTTP/1.1\r\n"],
    ["headers that never end", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: y"],
  ])("%s, is answered with 408 once its time is over", async (_name, text) => {
    const message = "The request did not come to its end in time.";
    expectRefusal(await answerTo(text, { headersTimeoutMs: 200 }), 408, message);
  });

  test("chunks of a body with too much beside them are answered with 413", async () => {
    const chunked = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const answer = await answerTo(`${chunked}1;${"x".repeat(20_000)}\r\ny\r\n0\r\n\r\n`);
    expectRefusal(answer, 413, "The extensions of the body's chunks are too large.");
  });

  function expectRefusal(answer: string, status: number, message: string): void {
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head).toMatch(/^content-type: application\/json/im);
    expect(head).toMatch(/^connection: close$/im);
    expect(head).toMatch(/^cache-control: no-store$/im);
    expect(head).toMatch(new RegExp(`^content-length: ${Buffer.byteLength(body)}$`, "im"));
    expect(JSON.parse(body)).toEqual({
      status: "error",
      code: status,
      message: expect.stringContaining(message) as string,
    });
  }

  test("is not answered in the middle of another answer", async () => {
    const { server } = await serve();
    servers.push(server);
    const socket = send(server.url, get("/drip"));
    const begun = await beginning(socket);
    socket.write("EHLO mail.example\r\n\r\n");
    expect((begun + (await rest(socket))).match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test("HTTP/1.0 needs no Host", async () => {
    expect(await answerTo("GET / HTTP/1.0\r\n\r\n")).toMatch(/200 OK[^]*here$/);
  });
});
