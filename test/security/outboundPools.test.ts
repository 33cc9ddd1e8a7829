import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TLSSocket } from "node:tls";
import type { Agent } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { post } from "../../src/destinations/httpPost.ts";
import type { EndpointTls } from "../../src/domain/configuration.ts";
import {
  type OutboundPools,
  type OutboundSettings,
  openOutboundPools,
} from "../../src/security/outboundPools.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connectProxy.ts";

const installation = makeAuthority("The installation's authority");
const partner = makeAuthority("A partner's authority");
const names = ["hooks.example"];

function pools(settings: Partial<OutboundSettings> = {}, now?: () => number): OutboundPools {
  const opened = openOutboundPools(
    { allowHttp: true, outboundAllow: [], ...settings },
    {
      connections: 2,
      lookup: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
      ...(now === undefined ? {} : { now }),
    },
  );
  onTestFinished(() => opened.close());
  return opened;
}

/** A TLS server that notes who calls; its URL. */
async function serve(options: ServerOptions, callers: unknown[] = []): Promise<string> {
  const server = createServer(options, (request, response) => {
    const socket = request.socket as TLSSocket;
    callers.push(socket.getPeerCertificate().subject?.CN ?? null);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://hooks.example:${(server.address() as AddressInfo).port}/`;
}

async function send(dispatcher: OutboundPools["dispatcher"], url: string): Promise<string> {
  const result = await post({
    url,
    method: "POST",
    headers: {},
    body: Buffer.from("{}"),
    timeoutMs: 10_000,
    dispatcher,
  });
  return result.kind === "failed" ? result.error : `HTTP ${result.httpStatus}`;
}

async function fileOf(content: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "egret-ca-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, "authorities.pem");
  await writeFile(file, content);
  return file;
}

const UNKNOWN = "the TLS certificate's authority is unknown, or the server leaves out part of its chain";

describe("the pools of an installation", () => {
  test("trust the authorities of EGRET_OUTBOUND_CA_FILE, with and without TLS settings of an endpoint", async () => {
    const ca = await fileOf(`# ours\n${partner.cert}\n${installation.cert}`);
    const url = await serve(makeCertificate({ names, by: installation }));
    expect(await send(pools().dispatcher, url)).toBe(UNKNOWN);
    const trusting = pools({ outboundCaFile: ca });
    expect(await send(trusting.dispatcher, url)).toBe("HTTP 200");
    expect(await send(trusting.dispatcherFor({ ca: makeAuthority("Else").cert }), url)).toBe("HTTP 200");
  });

  test.each([
    [
      "is not there",
      null,
      /^EGRET_OUTBOUND_CA_FILE names \S+, which cannot be read \(ENOENT\); name a readable file/,
    ],
    ["is empty", "", /^EGRET_OUTBOUND_CA_FILE names \S+, which is no list of PEM certificates/],
    ["is no PEM", "\u0030\u0082", /^EGRET_OUTBOUND_CA_FILE names \S+, which is no list of PEM certificates/],
    [
      "holds a damaged certificate",
      `${installation.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      /^EGRET_OUTBOUND_CA_FILE names \S+, which is no list of PEM certificates/,
    ],
    [
      "holds a key",
      installation.key,
      /^EGRET_OUTBOUND_CA_FILE names \S+, which is no list of PEM certificates/,
    ],
  ])("do not open with a file of authorities that %s", async (_what, content, message) => {
    const outboundCaFile = content === null ? "/nowhere/authorities.pem" : await fileOf(content);
    expect(() => pools({ outboundCaFile })).toThrow(message);
  });

  test("do not open with a proxy's address that cannot be read", () => {
    expect(() => pools({ outboundProxy: "proxy.example:3128" })).toThrow(
      /^EGRET_OUTBOUND_PROXY is not the address/,
    );
  });

  test("go through the proxy, endpoints with TLS settings too", async () => {
    const proxy = await startConnectProxy();
    onTestFinished(() => proxy.close());
    const url = await serve(makeCertificate({ names, by: partner }));
    const opened = pools({ outboundProxy: `http://127.0.0.1:${proxy.port}` });
    expect(await send(opened.dispatcher, url)).toBe(UNKNOWN);
    expect(await send(opened.dispatcherFor({ ca: partner.cert }), url)).toBe("HTTP 200");
    expect(proxy.requests).toHaveLength(2);
  });
});

describe("the pool of an endpoint", () => {
  const client = makeCertificate({ names: ["egret.example"], by: partner });
  const own: EndpointTls = { ca: partner.cert, client_certificate: client.cert, client_key: client.key };
  const wanting = {
    ...makeCertificate({ names, by: partner }),
    requestCert: true,
    rejectUnauthorized: true,
    ca: partner.cert,
  };

  test("shows the endpoint's client certificate, and no other pool does", async () => {
    const callers: unknown[] = [];
    const url = await serve(wanting, callers);
    const opened = pools();
    expect(await send(opened.dispatcherFor(own), url)).toBe("HTTP 200");
    expect(await send(opened.dispatcherFor({ ca: partner.cert }), url)).toBe(
      "the server wants a client certificate",
    );
    expect(callers).toEqual(["egret.example"]);
  });

  test("trusts the endpoint's authority, and no other pool does", async () => {
    const url = await serve(makeCertificate({ names, by: partner }));
    const opened = pools();
    expect(await send(opened.dispatcherFor({ ca: partner.cert }), url)).toBe("HTTP 200");
    expect(await send(opened.dispatcher, url)).toBe(UNKNOWN);
  });

  test("is vetted by the installation's policy like any", async () => {
    const opened = pools({ allowHttp: false });
    expect(await send(opened.dispatcherFor(own), "https://hooks.example/")).toContain("is not public");
  });

  test("is one for all endpoints of the same settings, read again or not", () => {
    const opened = pools();
    const pool = opened.dispatcherFor(own);
    expect(opened.dispatcherFor({ ...own })).toBe(pool);
    expect(opened.dispatcherFor({ ca: partner.cert })).not.toBe(pool);
    expect(opened.dispatcher).not.toBe(pool);
  });

  test("is closed when nobody asked for it for minutes, and opened anew when somebody does", () => {
    let nowMs = 0;
    const opened = pools({}, () => nowMs);
    const first = opened.dispatcherFor(own) as Agent;
    const other = { ca: partner.cert };
    nowMs = 299_000;
    opened.dispatcherFor(other);
    expect(first.closed).toBe(false);
    nowMs = 301_000;
    opened.dispatcherFor(other);
    expect(first.closed).toBe(true);
    expect(opened.dispatcherFor(own)).not.toBe(first);
  });

  test("makes room when there are too many, the one unused longest first", () => {
    const opened = pools();
    const first = opened.dispatcherFor(own) as Agent;
    const second = opened.dispatcherFor({ ca: partner.cert }) as Agent;
    for (let more = 0; more < 62; more += 1) opened.dispatcherFor({ ca: `${partner.cert}\n# ${more}` });
    expect(opened.dispatcherFor(own)).toBe(first);
    opened.dispatcherFor({ ca: installation.cert });
    expect([first.closed, second.closed]).toEqual([false, true]);
  });

  test("ends its requests before it closes", async () => {
    const answer = Promise.withResolvers<void>();
    const server = createServer(makeCertificate({ names, by: partner }), (_request, response) => {
      void answer.promise.then(() => response.end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const asked = new Promise<void>((resolve) => server.once("request", () => resolve()));
    let nowMs = 0;
    const opened = pools({}, () => nowMs);
    const pool = opened.dispatcherFor({ ca: partner.cert }) as Agent;
    const sent = send(pool, `https://hooks.example:${(server.address() as AddressInfo).port}/`);
    await asked;
    nowMs = 600_000;
    opened.dispatcherFor(own);
    expect(pool.closed).toBe(true);
    answer.resolve();
    expect(await sent).toBe("HTTP 200");
  });
});
