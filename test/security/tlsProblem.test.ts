import { createPrivateKey } from "node:crypto";
import { createServer as createPlainServer } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createGuardedAgent } from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { tlsProblem } from "../../src/security/tlsProblem.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";

const DAY_MS = 86_400_000;
const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MS);
const authority = makeAuthority("Egret test authority");
const stranger = makeAuthority("Somebody else's authority");
const names = ["hooks.example"];

let running: Server | undefined;
afterEach(() => void running?.close());

/** What a request to the server comes to: the words for its failure, or "answered". */
async function outcome(server: Server): Promise<string | null> {
  running = server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const agent = createGuardedAgent({
    policy: outboundPolicy({ allow: ["127.0.0.1"] }),
    connections: 1,
    ca: authority.cert,
    lookup: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
  });
  try {
    const origin = `https://hooks.example:${(server.address() as AddressInfo).port}`;
    const response = await agent.request({ origin, path: "/", method: "GET" });
    await response.body.dump();
    return "answered";
  } catch (error) {
    return tlsProblem(error);
  } finally {
    await agent.destroy();
  }
}

const serving = (options: ServerOptions): Server =>
  createServer(options, (_request, response) => void response.end());

describe("a TLS failure", () => {
  test("is none with a good certificate", async () => {
    expect(await outcome(serving(makeCertificate({ names, by: authority })))).toBe("answered");
  });

  test("names an expired certificate", async () => {
    const dates = { notBefore: inDays(-10), notAfter: inDays(-1) };
    const server = serving(makeCertificate({ names, by: authority, ...dates }));
    expect(await outcome(server)).toBe("the TLS certificate has expired");
  });

  test("names a certificate from the future", async () => {
    const dates = { notBefore: inDays(1), notAfter: inDays(10) };
    const server = serving(makeCertificate({ names, by: authority, ...dates }));
    expect(await outcome(server)).toBe("the TLS certificate is not valid yet");
  });

  test("names a certificate of another host", async () => {
    const server = serving(makeCertificate({ names: ["other.example", "*.hooks.example"], by: authority }));
    expect(await outcome(server)).toBe("the TLS certificate belongs to another host name");
  });

  test("names a self-signed certificate", async () => {
    expect(await outcome(serving(makeCertificate({ names })))).toBe("the TLS certificate is self-signed");
  });

  test("names an authority that is not trusted when the server sends it along", async () => {
    const { cert, key } = makeCertificate({ names, by: stranger });
    expect(await outcome(serving({ cert: cert + stranger.cert, key }))).toBe(
      "the TLS certificate comes from an authority that is not trusted here",
    );
  });

  test("names an unknown authority", async () => {
    expect(await outcome(serving(makeCertificate({ names, by: stranger })))).toBe(
      "the TLS certificate's authority is unknown, or the server leaves out part of its chain",
    );
  });

  test("names a certificate that may not sign", async () => {
    const middle = {
      ...makeCertificate({ names: ["middle.example"], by: authority }),
      name: "middle.example",
    };
    const by = { ...middle, privateKey: createPrivateKey(middle.key) };
    const { cert, key } = makeCertificate({ names, by });
    expect(await outcome(serving({ cert: cert + middle.cert, key }))).toBe(
      "a certificate of the TLS chain is used for what it is not meant for",
    );
  });

  test("names a port that speaks plain HTTP", async () => {
    expect(await outcome(createPlainServer())).toBe(
      "the port does not speak TLS; the address may need http://",
    );
  });

  test("names a server of old versions only", async () => {
    const ciphers = "DEFAULT@SECLEVEL=0";
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers } as const;
    expect(await outcome(serving({ ...makeCertificate({ names, by: authority }), ...old }))).toBe(
      "the server speaks no TLS version that Egret speaks (1.2 and 1.3)",
    );
  });

  test("names a wish for a client certificate as far as it can be told", async () => {
    const trusted = { requestCert: true, rejectUnauthorized: true, ca: authority.cert };
    const certificate = makeCertificate({ names, by: authority });
    expect(await outcome(serving({ ...certificate, ...trusted, maxVersion: "TLSv1.2" }))).toBe(
      "the server refused the TLS handshake: no cipher in common, or it wants a client certificate",
    );
    // Since TLS 1.3 the server speaks when our side has long shaken hands.
    const late = Object.assign(new Error("alert"), { code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" });
    expect(tlsProblem(late)).toBe("the server wants a client certificate");
  });

  test("is not claimed for a connection that breaks", async () => {
    expect(await outcome(createTcpServer((socket) => void socket.destroy()))).toBeNull();
    expect(tlsProblem(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }))).toBeNull();
    expect(tlsProblem("no error at all")).toBeNull();
  });

  test("is found behind the error that carries it, and quotes nothing of it", () => {
    const cause = Object.assign(new Error("CN=secret.example"), { code: "ERR_SSL_SOMETHING_NEW" });
    expect(tlsProblem(new Error("request failed", { cause }))).toBe(
      "the TLS handshake failed (ERR_SSL_SOMETHING_NEW)",
    );
  });
});
