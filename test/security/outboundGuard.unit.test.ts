import type { LookupAddress } from "node:dns";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { createGuardedAgent } from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";

let answer: LookupAddress[] = [];
const agent = createGuardedAgent({
  policy: outboundPolicy({}),
  connections: 1,
  lookup: () => Promise.resolve(answer),
});
afterAll(() => agent.destroy());

// Whole blocks that are public and whole blocks that are not; which block ends where is the ranges' own test.
const octet = fc.nat({ max: 255 });
const group = fc.nat({ max: 0xffff }).map((value) => value.toString(16));
const publicAddress = fc.oneof(
  fc.tuple(fc.constantFrom(8, 34, 93, 104), octet, octet, octet).map((parts) => parts.join(".")),
  fc.tuple(group, group, group).map((parts) => `2606:4700:${parts.join(":")}::1`),
);
const forbiddenAddress = fc.oneof(
  fc.tuple(fc.constantFrom(0, 10, 127, 224, 255), octet, octet, octet).map((parts) => parts.join(".")),
  fc.tuple(octet, octet).map((parts) => `::ffff:192.168.${parts.join(".")}`),
  fc.tuple(octet, octet).map((parts) => `64:ff9b::169.254.${parts.join(".")}`),
  fc
    .tuple(fc.constantFrom("fd00", "fe80", "fec0", "ff02", "2002"), group)
    .map((parts) => `${parts.join(":")}::1`),
);

describe("a name with several addresses", () => {
  test("is refused when any of them is forbidden, wherever it stands, and the error names none", async () => {
    const mixed = fc
      .tuple(fc.array(publicAddress, { maxLength: 6 }), forbiddenAddress, fc.nat())
      .map(([rest, forbidden, place]) => rest.toSpliced(place % (rest.length + 1), 0, forbidden));
    await fc.assert(
      fc.asyncProperty(mixed, fc.constantFrom("http", "https"), async (addresses, scheme) => {
        answer = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
        const sent = agent.request({ origin: `${scheme}://two-faced.example`, path: "/", method: "GET" });
        const error: unknown = await sent.then(
          () => null,
          (thrown: unknown) => thrown,
        );
        expect(error).toMatchObject({ name: "OutboundRefused", code: "EGRET_ADDRESS_FORBIDDEN" });
        const shown = inspect(error);
        for (const address of addresses) expect(shown).not.toContain(address);
      }),
      { numRuns: 200 },
    );
  });
});
