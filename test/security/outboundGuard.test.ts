import type { LookupAddress } from "node:dns";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createGuardedAgent,
  type GuardedAgentOptions,
  type Lookup,
} from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

let receiver: Receiver;
let port: string;
const agents: Agent[] = [];
beforeEach(async () => {
  receiver = await startReceiver();
  port = new URL(receiver.url).port;
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
  await receiver.close();
});

function guarded(
  allow: readonly string[],
  options: Partial<Omit<GuardedAgentOptions, "policy">> & { allowPorts?: readonly number[] } = {},
): Agent {
  const { allowPorts = null, ...rest } = options;
  const agent = createGuardedAgent({
    policy: outboundPolicy({ allow, allowPorts }),
    connections: 1,
    ...rest,
  });
  agents.push(agent);
  return agent;
}

async function statusFrom(agent: Agent, url: string): Promise<number> {
  const { origin, pathname } = new URL(url);
  const response = await agent.request({ origin, path: pathname, method: "POST", body: "{}" });
  await response.body.dump();
  return response.statusCode;
}

const at = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

/** A resolver that gives one answer after the other and the last one for ever. */
function resolver(...answers: LookupAddress[][]): { lookup: Lookup; asked: string[] } {
  const asked: string[] = [];
  const lookup: Lookup = (hostname) => {
    asked.push(hostname);
    return Promise.resolve(answers[Math.min(asked.length, answers.length) - 1] ?? []);
  };
  return { lookup, asked };
}

const FORBIDDEN = { name: "OutboundRefused", code: "EGRET_ADDRESS_FORBIDDEN" };

describe("the guarded pool", () => {
  test("connects to the address that it vetted and keeps the connection, whatever the name says next", async () => {
    const { lookup, asked } = resolver(at("127.0.0.1"), at("169.254.169.254"));
    // The receiver's own address stands in for a public one.
    const agent = guarded(["127.0.0.1"], { lookup });
    const url = `http://hooks.example:${port}/`;
    expect(await statusFrom(agent, url)).toBe(200);
    expect(await statusFrom(agent, url)).toBe(200);
    expect(asked).toEqual(["hooks.example"]);
    receiver.behave({ headers: { connection: "close" } });
    expect(await statusFrom(agent, url)).toBe(200);
    await expect(statusFrom(agent, url)).rejects.toMatchObject(FORBIDDEN);
    expect(asked).toHaveLength(2);
    expect(receiver.requests.map(({ headers }) => headers.host)).toEqual(
      Array.from({ length: 3 }, () => `hooks.example:${port}`),
    );
  });

  test("never reaches the loopback interface by a name that is public first and loopback second", async () => {
    const { lookup, asked } = resolver(at("127.0.0.2"), at("127.0.0.1"));
    // A documentation address, allowed: nobody answers there.
    const agent = guarded(["127.0.0.2"], { lookup, connectTimeoutMs: 300 });
    const url = `http://rebinding.example:${port}/`;
    // Which failure it is depends on the network around; that there is one is the point.
    expect(await statusFrom(agent, url).catch(() => "failed")).toBe("failed");
    expect(asked).toHaveLength(1);
    await expect(statusFrom(agent, url)).rejects.toMatchObject(FORBIDDEN);
    expect(receiver.requests).toEqual([]);
  });

  test.each([
    [at("127.0.0.1", "10.0.0.1")],
    [at("10.0.0.1", "127.0.0.1")],
    [at("127.0.0.1", "::1")],
    [at("127.0.0.1", "::ffff:10.0.0.1")],
    [at("127.0.0.1", "fe80::1%eth0")],
    [at("127.0.0.1", "64:ff9b::a9fe:a9fe")],
  ])("refuses a name of which one address is forbidden: %j", async (answer) => {
    const agent = guarded(["127.0.0.1"], { lookup: resolver(answer).lookup });
    await expect(statusFrom(agent, `http://two-faced.example:${port}/`)).rejects.toMatchObject(FORBIDDEN);
    expect(receiver.requests).toEqual([]);
  });

  test.each([
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "[::ffff:127.0.0.1]",
    "localhost",
  ])("refuses this machine by the name of %s, and reaches it when it is allowed", async (host) => {
    const url = `http://${host}:${port}/`;
    await expect(statusFrom(guarded([]), url)).rejects.toMatchObject(FORBIDDEN);
    await expect(statusFrom(guarded(["10.0.0.0/8"]), url)).rejects.toMatchObject(FORBIDDEN);
    expect(receiver.requests).toEqual([]);
    expect(await statusFrom(guarded(["127.0.0.0/8", "::1"]), url)).toBe(200);
  });

  test("says that an address is forbidden without giving it away", async () => {
    const agent = guarded([], { lookup: resolver(at("10.11.12.13")).lookup });
    await expect(statusFrom(agent, "https://internal.example/")).rejects.toMatchObject({
      message:
        "the host has an address that is not public (the operator can allow it with EGRET_OUTBOUND_ALLOW)",
      range: "a private address",
    });
  });

  test("refuses ports of line protocols, and all but the listed ones when there is a list", async () => {
    const { lookup, asked } = resolver(at("127.0.0.1"));
    const open = guarded(["127.0.0.1"], { lookup });
    const refused = { name: "OutboundRefused", code: "EGRET_PORT_FORBIDDEN" };
    await expect(statusFrom(open, "http://mail.example:25/")).rejects.toMatchObject(refused);
    await expect(statusFrom(open, "http://cache.example:6379/")).rejects.toMatchObject(refused);
    await expect(statusFrom(guarded([], { allowPorts: [443] }), "http://a.example/")).rejects.toMatchObject(
      refused,
    );
    expect(asked).toEqual([]);
    const listed = guarded(["127.0.0.1"], { lookup, allowPorts: [Number(port)] });
    expect(await statusFrom(listed, `http://hooks.example:${port}/`)).toBe(200);
  });

  test("tries the next vetted address when one does not answer", async () => {
    const { lookup } = resolver(at("::1", "127.0.0.1"));
    expect(await statusFrom(guarded(["127.0.0.1", "::1"], { lookup }), `http://dual.example:${port}/`)).toBe(
      200,
    );
  });

  test("asks once for a name that many connections wait for", async () => {
    const answer = Promise.withResolvers<LookupAddress[]>();
    let asked = 0;
    const lookup: Lookup = () => {
      asked += 1;
      return answer.promise;
    };
    const agent = guarded(["127.0.0.1"], { lookup, connections: 8 });
    const statuses = Promise.all(
      Array.from({ length: 8 }, () => statusFrom(agent, `http://slow.example:${port}/`)),
    );
    answer.resolve(at("127.0.0.1"));
    expect(new Set(await statuses)).toEqual(new Set([200]));
    expect(asked).toBe(1);
  });

  test("passes on what the resolver says when a name has no address", async () => {
    const failing: Lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "EAI_AGAIN" }));
    await expect(statusFrom(guarded([], { lookup: failing }), "http://a.example/")).rejects.toMatchObject({
      code: "EAI_AGAIN",
    });
    const empty = resolver([]).lookup;
    await expect(statusFrom(guarded([], { lookup: empty }), "http://a.example/")).rejects.toMatchObject({
      code: "ENOTFOUND",
    });
  });

  test("does not follow a redirect into the network inside", async () => {
    const agent = guarded(["127.0.0.1"]);
    receiver.behave({ status: 302, headers: { location: "http://169.254.169.254/latest/meta-data/" } });
    expect(await statusFrom(agent, receiver.url)).toBe(302);
    expect(receiver.requests).toHaveLength(1);
  });

  test("proves by TLS that the pinned address is the host, with an authority of the operator's", async () => {
    const authority = makeAuthority("Egret test authority");
    const names: unknown[] = [];
    const server = createServer(
      makeCertificate({ names: ["hooks.example"], by: authority }),
      (request, response) => {
        names.push((request.socket as TLSSocket & { servername?: string }).servername);
        response.end();
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = (host: string): string => `https://${host}:${(server.address() as AddressInfo).port}/`;
      const { lookup } = resolver(at("127.0.0.1"));
      const agent = guarded(["127.0.0.1"], { lookup, ca: authority.cert });
      expect(await statusFrom(agent, url("hooks.example"))).toBe(200);
      expect(await statusFrom(agent, url("hooks.example"))).toBe(200);
      await expect(statusFrom(agent, url("other.example"))).rejects.toMatchObject({
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
      const untrusting = guarded(["127.0.0.1"], { lookup });
      await expect(statusFrom(untrusting, url("hooks.example"))).rejects.toMatchObject({
        code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      });
      expect(names).toEqual(["hooks.example", "hooks.example"]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
