import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { gzipSync } from "node:zlib";
import { Agent } from "undici";
import { afterAll, afterEach, describe, expect, onTestFinished, test } from "vitest";
import { BODY_EXCERPT_BYTES, post } from "../../src/destinations/httpPost.ts";
import { createGuardedAgent, type GuardedAgentOptions } from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";

const agent = new Agent({ connections: 1 });
afterAll(() => agent.destroy());
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(listener: RequestListener): Promise<string> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}/`;
}

const request = (url: string, timeoutMs: number) => ({
  url,
  timeoutMs,
  method: "POST" as const,
  headers: {},
  body: Buffer.from("{}"),
  dispatcher: agent,
});

describe("post", () => {
  test("counts a status line in time even when the body never ends", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200).write("so far");
    });
    const result = await post(request(url, 300));
    expect(result).toMatchObject({ kind: "response", httpStatus: 200, bodyExcerpt: "so far" });
    expect(result.durationMs).toBeLessThan(300);
  });

  test("gives up at the deadline when no status line comes", async () => {
    const url = await listen(() => undefined);
    expect(await post(request(url, 200))).toMatchObject({
      kind: "failed",
      timedOut: true,
      error: "no answer within 0.2 s",
    });
  });

  test("keeps four kilobytes of an endless body and leaves the rest", async () => {
    let written = 0;
    const url = await listen((_request, response) => {
      response.writeHead(500);
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536))) written += 65_536;
      };
      response.on("drain", more);
      more();
    });
    const result = await post(request(url, 5_000));
    expect(result.kind === "response" && result.bodyExcerpt).toBe("x".repeat(BODY_EXCERPT_BYTES));
    expect(written).toBeLessThan(64 << 20);
  });

  test("uses a connection again after a body that was discarded", async () => {
    const ports = new Set<number | undefined>();
    const url = await listen((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      incoming.resume().on("end", () => response.end("x".repeat(20_000)));
    });
    for (let turn = 0; turn < 3; turn += 1) await post(request(url, 5_000));
    expect(ports.size).toBe(1);
  });

  test("keeps the status of an answer whose body breaks off", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    expect(await post(request(url, 5_000))).toMatchObject({ kind: "response", httpStatus: 200 });
  });

  test("names a failure by its kind, not by what the driver says", async () => {
    const url = await listen((incoming) => incoming.socket.end("HTTP/1.1 this is no status line\r\n\r\n"));
    const expected = { kind: "failed", timedOut: false, error: "the answer was not HTTP" };
    expect(await post(request(url, 5_000))).toMatchObject(expected);
  });

  test("does not start when it is aborted already", async () => {
    const url = await listen(() => undefined);
    await expect(
      post({ ...request(url, 100), signal: AbortSignal.abort(new Error("stop")) }),
    ).rejects.toThrow("stop");
  });
});

/** A pool of its own for one test; names lead to this machine. */
function guarded(options: Partial<GuardedAgentOptions> = {}): Agent {
  const pool = createGuardedAgent({
    policy: outboundPolicy({ allow: ["127.0.0.1"] }),
    connections: 1,
    lookup: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
    ...options,
  });
  onTestFinished(() => pool.destroy());
  return pool;
}

/** A server that says exactly these bytes, or what the function makes of the socket; its port. */
async function speak(answer: Parameters<typeof createTcpServer>[1]): Promise<number> {
  const started: TcpServer = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    answer?.(socket);
  });
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void started.close());
  return (started.address() as AddressInfo).port;
}

describe("the exchange", () => {
  test("holds what was said both ways, without secrets", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(500, { "x-reason": "quota", "set-cookie": "sid=1" }).end("no\u0000 hunter2-hunter2");
    });
    const { exchange } = await post({
      ...request(url, 5_000),
      headers: { authorization: "Bearer hunter2-hunter2", "x-tenant": "secret", "x-event-id": "e1" },
      secretHeaders: ["x-tenant"],
    });
    expect(exchange).toMatchObject({
      requestHeaders: { authorization: "***", "x-tenant": "***", "x-event-id": "e1" },
      responseHeaders: { "x-reason": "quota", "set-cookie": "***" },
      responseBody: "no\ufffd ***",
    });
  });

  test("replaces what is no UTF-8", async () => {
    const url = await listen((_request, response) => response.end(Buffer.from([0x61, 0xff, 0x62])));
    expect((await post(request(url, 5_000))).exchange.responseBody).toBe("a\ufffdb");
  });

  test("has no answer when none came, and still says what was asked and how long it took", async () => {
    const url = await listen(() => undefined);
    const { exchange } = await post({ ...request(url, 100), headers: { "x-event-id": "e1" } });
    expect(exchange).toMatchObject({
      requestHeaders: { "x-event-id": "e1" },
      responseHeaders: null,
      responseBody: null,
      split: { firstByteMs: null, totalMs: expect.any(Number) },
    });
    expect(exchange.split.totalMs).toBeGreaterThanOrEqual(99);
  });

  test("names the steps of the connection for the request that opened it, and for no other", async () => {
    const authority = makeAuthority("Egret test authority");
    const certificate = makeCertificate({ names: ["hooks.example"], by: authority });
    const secure = createTlsServer(certificate, (_request, response) => void response.end("ok"));
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      secure.closeAllConnections();
      secure.close();
    });
    const dispatcher = guarded({ ca: authority.cert });
    const url = `https://hooks.example:${(secure.address() as AddressInfo).port}/`;
    const first = await post({ ...request(url, 10_000), dispatcher });
    const { dnsMs, connectMs, tlsMs, firstByteMs, totalMs } = first.exchange.split;
    expect([dnsMs, connectMs, tlsMs, firstByteMs].every((ms) => ms !== null && ms >= 0)).toBe(true);
    expect((dnsMs ?? 0) + (connectMs ?? 0) + (tlsMs ?? 0)).toBeLessThanOrEqual(firstByteMs ?? 0);
    expect(totalMs).toBeGreaterThanOrEqual(firstByteMs ?? 0);
    expect(first.durationMs).toBe(firstByteMs);
    const kept = await post({ ...request(url, 10_000), dispatcher });
    expect(kept.exchange.split).toMatchObject({ dnsMs: null, connectMs: null, tlsMs: null });
  });

  test("tells each of many requests at once its own connection", async () => {
    const url = await listen((incoming, response) => incoming.resume().on("end", () => response.end()));
    const dispatcher = guarded({ connections: 4 });
    const results = await Promise.all(
      Array.from({ length: 40 }, () => post({ ...request(url, 10_000), dispatcher })),
    );
    const opened = results.filter(({ exchange }) => exchange.split.connectMs !== null);
    expect(opened).toHaveLength(4);
    // The address stands in the URL, without TLS.
    expect(opened.every(({ exchange: { split } }) => split.dnsMs === null && split.tlsMs === null)).toBe(
      true,
    );
  });

  test("shows how far a connection came that was never made", async () => {
    const port = await speak((socket) => void socket.destroy());
    const refusing = await post({
      ...request(`https://hooks.example:${port}/`, 10_000),
      dispatcher: guarded(),
    });
    expect(refusing).toMatchObject({ kind: "failed" });
    expect(refusing.exchange.split).toMatchObject({
      dnsMs: expect.any(Number),
      connectMs: expect.any(Number),
      tlsMs: null,
      firstByteMs: null,
    });
    const lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const nameless = await post({
      ...request("https://hooks.example/", 10_000),
      dispatcher: guarded({ lookup }),
    });
    expect(nameless).toMatchObject({
      error: "host name not found",
      exchange: { split: { dnsMs: expect.any(Number), connectMs: null } },
    });
  });
});

describe("the deadline", () => {
  test("holds while a name is looked up, and what was given up is not sent later", async () => {
    const answer = Promise.withResolvers<{ address: string; family: number }[]>();
    let seen = 0;
    const url = await listen((_request, response) => {
      seen += 1;
      response.end();
    });
    const dispatcher = guarded({ lookup: () => answer.promise });
    const target = `http://slow.example:${new URL(url).port}/`;
    const result = await post({ ...request(target, 100), dispatcher });
    expect(result).toMatchObject({ kind: "failed", timedOut: true, error: "no answer within 0.1 s" });
    expect(result.exchange.split).toMatchObject({ dnsMs: null, connectMs: null });
    answer.resolve([{ address: "127.0.0.1", family: 4 }]);
    // The next one goes over the same pool, behind the one that was given up.
    expect(await post({ ...request(target, 10_000), dispatcher })).toMatchObject({ kind: "response" });
    expect(seen).toBe(1);
  });

  test("holds for whoever stops waiting while a connection is made", async () => {
    const stop = new AbortController();
    const dispatcher = guarded({ lookup: () => new Promise(() => undefined), connectTimeoutMs: 100 });
    const sent = post({ ...request("http://slow.example/", 10_000), dispatcher, signal: stop.signal });
    stop.abort(new Error("stop"));
    await expect(sent).rejects.toThrow("stop");
  });

  test("ends a body that drips, and keeps its status and what came", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("x"), 10);
      response.on("close", () => clearInterval(drip));
    });
    const result = await post(request(url, 300));
    expect(result).toMatchObject({ kind: "response", httpStatus: 200 });
    expect(result.exchange.responseBody).toMatch(/^x+$/);
    // Read to the deadline, but answered long before it.
    expect(result.exchange.split.totalMs).toBeGreaterThanOrEqual(299);
    expect(result.durationMs).toBeLessThan(result.exchange.split.totalMs);
  });
});

describe("a hostile answer", () => {
  test("is not unpacked: of a compressed bomb there are as many bytes as came", async () => {
    const bomb = gzipSync(Buffer.alloc(16 << 20));
    let wanted: unknown;
    const url = await listen((incoming, response) => {
      wanted = incoming.headers["accept-encoding"];
      response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    });
    const result = await post(request(url, 10_000));
    expect(result.kind === "response" && result.bodyExcerpt.length).toBeLessThanOrEqual(BODY_EXCERPT_BYTES);
    expect(result.exchange.responseBody).toContain("\ufffd");
    expect(wanted).toBeUndefined();
  });

  test("that announces itself for ever ends at once, and a few announcements do no harm", async () => {
    const port = await speak((socket) => {
      const more = (): void => {
        while (socket.writable && socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"));
      };
      socket.on("drain", more);
      more();
    });
    expect(await post(request(`http://127.0.0.1:${port}/`, 60_000))).toMatchObject({
      kind: "failed",
      timedOut: false,
      error: "the answer was announced (HTTP 1xx) again and again",
    });
    const polite = await listen((_request, response) => {
      for (let hint = 0; hint < 10; hint += 1) response.writeEarlyHints({ link: "</a>; rel=preload" });
      response.writeHead(201).end("made");
    });
    expect(await post(request(polite, 10_000))).toMatchObject({ httpStatus: 201, bodyExcerpt: "made" });
  });

  test("with endless headers costs its connection, not our memory", async () => {
    let written = 0;
    const port = await speak((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const more = (): void => {
        while (socket.writable && socket.write(`x-${written}: ${"y".repeat(1_000)}\r\n`)) written += 1_000;
      };
      socket.on("drain", more);
      more();
    });
    expect(await post(request(`http://127.0.0.1:${port}/`, 10_000))).toMatchObject({
      kind: "failed",
      timedOut: false,
      error: "the answer's headers are larger than 16 KiB",
    });
    expect(written).toBeLessThan(64 << 20);
  });

  test("that lies about its length keeps its status", async () => {
    const port = await speak((socket) => {
      socket.once("data", () => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"));
    });
    expect(await post(request(`http://127.0.0.1:${port}/`, 10_000))).toMatchObject({
      kind: "response",
      httpStatus: 200,
      bodyExcerpt: "ab",
    });
  });

  test("is one answer: what a server says behind it is nobody's", async () => {
    const port = await speak((socket) => {
      const ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
      socket.once("data", () => void socket.write(`${ok}HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n`));
    });
    const url = `http://127.0.0.1:${port}/`;
    expect(await post(request(url, 10_000))).toMatchObject({ httpStatus: 200 });
    expect(await post(request(url, 10_000))).toMatchObject({ httpStatus: 200 });
  });
});

describe("a TLS failure", () => {
  const authority = makeAuthority("Egret test authority");
  const stranger = makeAuthority("Somebody else's authority");
  const names = ["hooks.example"];
  const past = { notBefore: new Date(Date.now() - 2e9), notAfter: new Date(Date.now() - 1e9) };
  const good = makeCertificate({ names, by: authority });

  test.each<[string, ServerOptions, string]>([
    ["expired", makeCertificate({ names, by: authority, ...past }), "the TLS certificate has expired"],
    [
      "wrong host",
      makeCertificate({ names: ["other.example"], by: authority }),
      "the TLS certificate belongs to another host name",
    ],
    ["self-signed", makeCertificate({ names }), "the TLS certificate is self-signed"],
    [
      "unknown authority",
      makeCertificate({ names, by: stranger }),
      "the TLS certificate's authority is unknown, or the server leaves out part of its chain",
    ],
    [
      "client certificate required",
      { ...good, requestCert: true, rejectUnauthorized: true, ca: authority.cert },
      "the server wants a client certificate",
    ],
  ])("is told apart: %s", async (_what, options, error) => {
    const secure = createTlsServer(options, (_request, response) => void response.end());
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      secure.closeAllConnections();
      secure.close();
    });
    const url = `https://hooks.example:${(secure.address() as AddressInfo).port}/`;
    const dispatcher = guarded({ ca: authority.cert });
    expect(await post({ ...request(url, 10_000), dispatcher })).toMatchObject({ kind: "failed", error });
  });
});
