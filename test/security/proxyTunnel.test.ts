import type { LookupAddress } from "node:dns";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { post } from "../../src/destinations/httpPost.ts";
import { createGuardedAgent, type GuardedAgentOptions } from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { parseProxy } from "../../src/security/proxyTunnel.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import { type ConnectProxy, startConnectProxy } from "../support/connectProxy.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const authority = makeAuthority("Egret test authority");
let proxy: ConnectProxy;
let receiver: Receiver;
let port: string;
const agents: Agent[] = [];
beforeEach(async () => {
  [proxy, receiver] = await Promise.all([startConnectProxy(), startReceiver()]);
  port = new URL(receiver.url).port;
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
  await Promise.all([proxy.close(), receiver.close()]);
});

const at = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

function through(proxyUrl: string, options: Partial<GuardedAgentOptions> = {}): Agent {
  const agent = createGuardedAgent({
    policy: outboundPolicy({ allow: ["127.0.0.1", "127.0.0.2"] }),
    connections: 1,
    proxy: parseProxy(proxyUrl),
    ca: authority.cert,
    lookup: () => Promise.resolve(at("127.0.0.1")),
    ...options,
  });
  agents.push(agent);
  return agent;
}

const send = (dispatcher: Agent, url: string) =>
  post({
    url,
    method: "POST",
    headers: {},
    body: Buffer.from("{}"),
    timeoutMs: 10_000,
    dispatcher,
  });
const plain = () => `http://127.0.0.1:${proxy.port}`;

describe("a proxy", () => {
  test("is told the vetted address, and the receiver the name", async () => {
    const agent = through(plain());
    const result = await send(agent, `http://hooks.example:${port}/in`);
    expect(result).toMatchObject({ kind: "response", httpStatus: 200 });
    expect(result.exchange.split).toMatchObject({
      dnsMs: expect.any(Number),
      connectMs: expect.any(Number),
      tlsMs: null,
    });
    expect(proxy.requests.map(({ to }) => to)).toEqual([`127.0.0.1:${port}`]);
    expect(receiver.requests[0]).toMatchObject({ path: "/in", headers: { host: `hooks.example:${port}` } });
    // The tunnel is kept like any connection.
    const again = await send(agent, `http://hooks.example:${port}/in`);
    expect(again.exchange.split).toMatchObject({ dnsMs: null, connectMs: null });
    expect(proxy.requests).toHaveLength(1);
  });

  test.each([
    ["a name with a private address", "internal.example", at("10.0.0.7")],
    ["a name of which one address is private", "two-faced.example", at("127.0.0.1", "10.0.0.7")],
    ["an address in the URL", "169.254.169.254", []],
  ])("never hears of %s", async (_what, host, answer) => {
    const agent = through(plain(), { lookup: () => Promise.resolve(answer) });
    expect(await send(agent, `http://${host}:${port}/`)).toMatchObject({
      kind: "failed",
      error: expect.stringContaining("the host has an address that is not public"),
    });
    expect(proxy.requests).toEqual([]);
  });

  test("carries TLS whose names are the receiver's own, checked here", async () => {
    const names: unknown[] = [];
    const server = createServer(
      makeCertificate({ names: ["hooks.example"], by: authority }),
      (request, response) => {
        names.push((request.socket as TLSSocket & { servername?: string }).servername, request.headers.host);
        response.end();
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const tlsPort = (server.address() as AddressInfo).port;
    const agent = through(plain());
    const result = await send(agent, `https://hooks.example:${tlsPort}/`);
    expect(result).toMatchObject({ kind: "response", httpStatus: 200 });
    expect(result.exchange.split.tlsMs).toBeGreaterThan(0);
    expect(names).toEqual(["hooks.example", `hooks.example:${tlsPort}`]);
    expect(await send(agent, `https://other.example:${tlsPort}/`)).toMatchObject({
      error: "the TLS certificate belongs to another host name",
    });
  });

  test("gets the credentials that stand in its address, and no target does", async () => {
    const agent = through(`http://us%40er:p%25ss@127.0.0.1:${proxy.port}`);
    expect(await send(agent, `http://hooks.example:${port}/`)).toMatchObject({ kind: "response" });
    const expected = `Basic ${Buffer.from("us@er:p%ss").toString("base64")}`;
    expect(proxy.requests[0]?.headers["proxy-authorization"]).toBe(expected);
    expect(receiver.requests[0]?.headers).not.toHaveProperty("proxy-authorization");
  });

  test("can itself be reached by TLS", async () => {
    const secure = await startConnectProxy(makeCertificate({ names: ["localhost"], by: authority }));
    onTestFinished(() => secure.close());
    const agent = through(`https://localhost:${secure.port}`);
    expect(await send(agent, `http://hooks.example:${port}/`)).toMatchObject({ kind: "response" });
    expect(secure.requests).toHaveLength(1);
    const untrusting = through(`https://localhost:${secure.port}`, { ca: null });
    expect(await send(untrusting, `http://hooks.example:${port}/`)).toMatchObject({
      error: "the proxy could not be reached",
    });
  });

  test("that cannot reach one vetted address is asked for the next", async () => {
    proxy.behave(({ to }) => (to.startsWith("127.0.0.2") ? 502 : null));
    const agent = through(plain(), { lookup: () => Promise.resolve(at("127.0.0.2", "127.0.0.1")) });
    expect(await send(agent, `http://hooks.example:${port}/`)).toMatchObject({ kind: "response" });
    expect(proxy.requests.map(({ to }) => to)).toEqual([`127.0.0.2:${port}`, `127.0.0.1:${port}`]);
  });

  test.each([
    [407, "the proxy wants other credentials (HTTP 407); see EGRET_OUTBOUND_PROXY"],
    [403, "the proxy did not open the connection (HTTP 403)"],
    [502, "the proxy did not open the connection (HTTP 502)"],
  ])("that refuses with %i is named as the cause", async (status, error) => {
    proxy.behave(() => status);
    const result = await send(through(plain()), `http://hooks.example:${port}/`);
    expect(result).toMatchObject({ kind: "failed", timedOut: false, error });
    expect(result.exchange.split).toMatchObject({ dnsMs: expect.any(Number), connectMs: null });
    expect(proxy.requests).toHaveLength(1);
    expect(receiver.requests).toEqual([]);
  });

  test("that is not there, or never answers, fails the request in time", async () => {
    const url = `http://hooks.example:${port}/`;
    proxy.behave(() => "hang");
    expect(await send(through(plain(), { connectTimeoutMs: 100 }), url)).toMatchObject({
      kind: "failed",
      error: "the proxy opened no connection in time",
    });
    await proxy.close();
    expect(await send(through(plain()), url)).toMatchObject({
      kind: "failed",
      error: "the proxy could not be reached",
    });
    proxy = await startConnectProxy();
  });
});

describe("a proxy's address", () => {
  test.each(["", "proxy.example:3128", "socks5://proxy.example", "http://proxy.example/path", "http://"])(
    "is refused with the fix: %j",
    (text) => {
      expect(() => parseProxy(text)).toThrow(/^EGRET_OUTBOUND_PROXY is not the address of a proxy; write/);
    },
  );

  test("never stands in the message that refuses it", () => {
    for (const text of ["http://u:hunter2@p.example/x", "http://u:hunter2%@p.example"]) {
      // The whole message, so that nothing else can stand in it.
      expect(() => parseProxy(text)).toThrow(/^(?!.*hunter2).*EGRET_OUTBOUND_PROXY/s);
    }
  });

  test("has the usual port of its scheme unless it names one", () => {
    expect(parseProxy("http://proxy.example")).toEqual({
      isTls: false,
      host: "proxy.example",
      port: 80,
      authorization: null,
    });
    expect(parseProxy("https://[::1]")).toMatchObject({ isTls: true, host: "::1", port: 443 });
  });
});
