import { BlockList, isIPv4 } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { forbiddenRange, parseAddressBlocks } from "../../src/security/addressRanges.ts";

// The registries stated a second time, matched by Node instead of ipaddr.js: the guard's own table is not asked.
const REGISTRY_V4 = [
  "0.0.0.0/8 This network, RFC 791",
  "10.0.0.0/8 Private-Use, RFC 1918",
  "100.64.0.0/10 Shared Address Space, RFC 6598",
  "127.0.0.0/8 Loopback, RFC 1122",
  "168.63.129.16/32 (ours) Azure platform",
  "169.254.0.0/16 Link Local, RFC 3927",
  "172.16.0.0/12 Private-Use, RFC 1918",
  "192.0.0.0/24 IETF Protocol Assignments, RFC 6890",
  "192.0.2.0/24 Documentation (TEST-NET-1), RFC 5737",
  "192.31.196.0/24 AS112-v4, RFC 7535",
  "192.52.193.0/24 AMT, RFC 7450",
  "192.88.99.0/24 Deprecated (6to4 Relay Anycast), RFC 7526",
  "192.168.0.0/16 Private-Use, RFC 1918",
  "192.175.48.0/24 Direct Delegation AS112 Service, RFC 7534",
  "198.18.0.0/15 Benchmarking, RFC 2544",
  "198.51.100.0/24 Documentation (TEST-NET-2), RFC 5737",
  "203.0.113.0/24 Documentation (TEST-NET-3), RFC 5737",
  "224.0.0.0/4 Multicast, RFC 5771",
  "240.0.0.0/4 Reserved, RFC 1112",
  "255.255.255.255/32 Limited Broadcast, RFC 919",
];
const REGISTRY_V6 = [
  "::1/128 Loopback, RFC 4291",
  "::/128 Unspecified, RFC 4291",
  "64:ff9b:1::/48 IPv4-IPv6 Translat., RFC 8215",
  "100::/64 Discard-Only, RFC 6666",
  "100:0:0:1::/64 Dummy IPv6 Prefix, RFC 9780",
  "2001::/23 IETF Protocol Assignments, RFC 2928",
  "2001::/32 TEREDO, RFC 4380",
  "2001:1::1/128 Port Control Protocol Anycast, RFC 7723",
  "2001:1::2/128 TURN Anycast, RFC 8155",
  "2001:1::3/128 DNS-SD SRP Anycast, RFC 9665",
  "2001:2::/48 Benchmarking, RFC 5180",
  "2001:3::/32 AMT, RFC 7450",
  "2001:4:112::/48 AS112-v6, RFC 7535",
  "2001:10::/28 Deprecated (ORCHID), RFC 4843",
  "2001:20::/28 ORCHIDv2, RFC 7343",
  "2001:30::/28 Drone Remote ID, RFC 9374",
  "2001:db8::/32 Documentation, RFC 3849",
  "2002::/16 6to4, RFC 3056",
  "2620:4f:8000::/48 Direct Delegation AS112 Service, RFC 7534",
  "3fff::/20 Documentation, RFC 9637",
  "5f00::/16 Segment Routing SIDs, RFC 9602",
  "fc00::/7 Unique-Local, RFC 4193",
  "fe80::/10 Link-Local, RFC 4291",
  "fec0::/10 Deprecated (site-local), RFC 3879",
  "ff00::/8 Multicast, RFC 4291",
];

function listOf(rows: readonly string[], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const row of rows) {
    const [prefix = "", bits = ""] = row.split(" ")[0]?.split("/") ?? [];
    list.addSubnet(prefix, Number(bits), family);
  }
  return list;
}
const specialV4 = listOf(REGISTRY_V4, "ipv4");
const specialV6 = listOf(REGISTRY_V6, "ipv6");
const globalV6 = listOf(["2000::/3"], "ipv6");

const v4Text = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
const v6Text = (value: bigint): string => {
  const hex = value.toString(16).padStart(32, "0");
  return hex.match(/.{4}/g)?.join(":") ?? "";
};
const v6Value = (text: string): bigint => {
  // Only as the tables write them: groups and at most one gap.
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return BigInt(`0x${[...left, ...gap, ...right].map((group) => group.padStart(4, "0")).join("")}`);
};
const v4Value = (text: string): number => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

/** Addresses anywhere, and as many at and beside the ends of each row, where mistakes live. */
const anyV4 = fc.oneof(
  fc.nat({ max: 0xffff_ffff }),
  fc
    .tuple(fc.constantFrom(...REGISTRY_V4), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([row, by, last]) => {
      const [prefix = "", bits = ""] = row.split(" ")[0]?.split("/") ?? [];
      const end = last ? 2 ** (32 - Number(bits)) - 1 : 0;
      return (v4Value(prefix) + end + by + 2 ** 32) % 2 ** 32;
    }),
);
const V6_SPACE = 1n << 128n;
const anyV6 = fc.oneof(
  fc.bigInt({ min: 0n, max: V6_SPACE - 1n }),
  fc.bigInt({ min: 0x2000n << 112n, max: (0x4000n << 112n) - 1n }),
  fc
    .tuple(
      fc.constantFrom(...REGISTRY_V6, "2000::/3 Global Unicast"),
      fc.bigInt({ min: -2n, max: 2n }),
      fc.boolean(),
    )
    .map(([row, by, last]) => {
      const [prefix = "", bits = ""] = row.split(" ")[0]?.split("/") ?? [];
      const end = last ? (1n << BigInt(128 - Number(bits))) - 1n : 0n;
      return (v6Value(prefix) + end + by + V6_SPACE) % V6_SPACE;
    }),
);
const isSpecialV4 = (value: number): boolean => specialV4.check(v4Text(value), "ipv4");
const forbiddenV4 = anyV4.filter(isSpecialV4);
const publicV4 = anyV4.filter((value) => !isSpecialV4(value));

/**
 * Every form that wraps an IPv4 address, by the number that it makes of it. Sources: RFC 4291 (mapped, compatible), 2765
 * (translated), 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo, whose client stands inverted), 5214 (ISATAP).
 */
const EMBEDDINGS: Readonly<Record<string, (v4: bigint) => bigint>> = {
  mapped: (v4) => (0xffffn << 32n) | v4,
  compatible: (v4) => v4,
  translated: (v4) => (0xffffn << 48n) | v4,
  nat64: (v4) => (0x64ff9bn << 96n) | v4,
  localNat64: (v4) => (0x64ff9b0001n << 80n) | v4,
  localNat64Of48: (v4) => (0x64ff9b0001n << 80n) | ((v4 >> 16n) << 64n) | ((v4 & 0xffffn) << 40n),
  sixToFour: (v4) => (0x2002n << 112n) | (v4 << 80n) | 1n,
  teredoServer: (v4) => (0x20010000n << 96n) | (v4 << 64n) | 0xf7f7_f7f7n,
  teredoClient: (v4) => (0x20010000n << 96n) | (0x0808_0808n << 64n) | (v4 ^ 0xffff_ffffn),
  isatap: (v4) => (0x2a00_1450_4001_0001n << 64n) | (0x5efen << 32n) | v4,
  isatapGlobal: (v4) => (0x2a00_1450_4001_0001n << 64n) | (0x0200_5efen << 32n) | v4,
};

const RUNS = { numRuns: 2_000 };

describe("an address", () => {
  test("of IPv4 is refused exactly when a registry lists it", () => {
    fc.assert(
      fc.property(anyV4, (value) => {
        expect(forbiddenRange(v4Text(value), []) !== null).toBe(isSpecialV4(value));
      }),
      RUNS,
    );
  });

  test("of IPv6 is refused exactly when a registry lists it or it is not global unicast", () => {
    // The wrapped ones are the next tests' matter.
    const plain = anyV6.filter((value) => {
      const high = value >> 32n;
      const interfaceId = high & 0xfcff_ffffn;
      return high !== 0xffffn && high !== 0x64ff9bn << 64n && interfaceId !== 0x5efen;
    });
    fc.assert(
      fc.property(plain, (value) => {
        const text = v6Text(value);
        const isPublic = globalV6.check(text, "ipv6") && !specialV6.check(text, "ipv6");
        expect(forbiddenRange(text, []) === null).toBe(isPublic);
      }),
      RUNS,
    );
  });

  test.each(Object.entries(EMBEDDINGS))("is refused when it wraps a forbidden one: %s", (_name, embed) => {
    fc.assert(
      fc.property(forbiddenV4, (value) => {
        expect(forbiddenRange(v6Text(embed(BigInt(value))), [])).not.toBeNull();
      }),
    );
  });

  test.each(["mapped", "nat64", "isatap"])("is called when it wraps a public one: %s", (name) => {
    fc.assert(
      fc.property(publicV4, (value) => {
        expect(forbiddenRange(v6Text(EMBEDDINGS[name]!(BigInt(value))), [])).toBeNull();
      }),
    );
  });

  test.each([
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
  ])("of a cloud's metadata service is refused: %s", (address) => {
    expect(forbiddenRange(address, [])).not.toBeNull();
  });

  test.each(["93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])(
    "of a public host is called: %s",
    (address) => {
      expect(forbiddenRange(address, [])).toBeNull();
    },
  );

  test.each(["", "localhost", "127.1", "0x7f.0.0.1", "010.0.0.1", "1.2.3", "::g", "[::1]"])(
    "that cannot be read is refused: %j",
    (text) => {
      expect(forbiddenRange(text, [])).toBe("not an address");
    },
  );

  test("is judged alike in every spelling, and whatever interface stands behind it", () => {
    const zone = fc.constantFrom("", "%eth0", "%0", "%25lo");
    const wrapped = fc
      .tuple(anyV4, fc.constantFrom(...Object.values(EMBEDDINGS)))
      .map(([value, embed]) => embed(BigInt(value)));
    fc.assert(
      fc.property(fc.oneof(anyV6, wrapped), zone, (value, behind) => {
        const text = v6Text(value);
        const judged = forbiddenRange(text, []);
        // What the URL parser makes of it: shortest form, the longest gap left out.
        const short = new URL(`http://[${text}]/`).hostname.slice(1, -1);
        const dotted = `${text.split(":").slice(0, 6).join(":")}:${v4Text(Number(value & 0xffff_ffffn))}`;
        for (const spelling of [short, dotted, text.toUpperCase()]) {
          expect(forbiddenRange(`${spelling}${behind}`, [])).toBe(judged);
        }
      }),
      RUNS,
    );
  });

  test("with an interface behind it is judged without", () => {
    expect(forbiddenRange("fe80::1%eth0", [])).toBe("a link-local address");
    expect(forbiddenRange("fe80::1%eth0", parseAddressBlocks(["fe80::/10"]))).toBeNull();
  });
});

describe("an allowed block", () => {
  test("of IPv4 allows exactly its addresses", () => {
    fc.assert(
      fc.property(anyV4, fc.integer({ min: 0, max: 32 }), anyV4, (base, bits, value) => {
        const size = 2 ** (32 - bits);
        const first = Math.floor(base / size) * size;
        const allowed = parseAddressBlocks([`${v4Text(first)}/${bits}`]);
        const isListed = value >= first && value < first + size;
        expect(forbiddenRange(v4Text(value), allowed) === null).toBe(isListed || !isSpecialV4(value));
        const mapped = v6Text(EMBEDDINGS["mapped"]!(BigInt(value)));
        expect(forbiddenRange(mapped, allowed) === null).toBe(isListed || !isSpecialV4(value));
      }),
      RUNS,
    );
  });

  test("of IPv6 allows exactly its addresses", () => {
    fc.assert(
      fc.property(
        anyV6,
        fc.integer({ min: 0, max: 128 }),
        anyV6,
        fc.boolean(),
        (base, bits, other, within) => {
          const size = 1n << BigInt(128 - bits);
          const first = (base / size) * size;
          // Of two random addresses one is hardly ever in the other's block.
          const value = within ? first + (other % size) : other;
          fc.pre(value >> 32n !== 0xffffn && first >> 32n !== 0xffffn);
          const allowed = parseAddressBlocks([`${v6Text(first)}/${bits}`]);
          const isListed = value >= first && value < first + size;
          const text = v6Text(value);
          expect(forbiddenRange(text, allowed) === null).toBe(isListed || forbiddenRange(text, []) === null);
        },
      ),
      RUNS,
    );
  });

  test("of one family says nothing of the other", () => {
    expect(forbiddenRange("127.0.0.1", parseAddressBlocks(["::/0"]))).not.toBeNull();
    expect(forbiddenRange("::1", parseAddressBlocks(["0.0.0.0/0"]))).not.toBeNull();
    expect(forbiddenRange("2002:7f00:1::", parseAddressBlocks(["127.0.0.0/8"]))).not.toBeNull();
  });

  test("of mapped addresses is the block of IPv4 that they stand for", () => {
    const allowed = parseAddressBlocks(["::ffff:10.0.0.0/104"]);
    expect(forbiddenRange("10.9.8.7", allowed)).toBeNull();
    expect(forbiddenRange("11.0.0.0", parseAddressBlocks(["::ffff:10.0.0.1"]))).toBeNull();
    expect(forbiddenRange("10.0.0.2", parseAddressBlocks(["::ffff:10.0.0.1"]))).not.toBeNull();
  });

  test("reaches through the well-known translation to the addresses that it lists", () => {
    const allowed = parseAddressBlocks(["10.0.0.0/8"]);
    expect(forbiddenRange("64:ff9b::10.0.0.1", allowed)).toBeNull();
    expect(forbiddenRange("64:ff9b::192.168.0.1", allowed)).not.toBeNull();
  });

  test.each([
    ["localhost", '"localhost" is no address block; write one such as 10.0.0.0/8 or fd00::/8'],
    ["10.0/8", '"10.0/8" is no address block; write one such as 10.0.0.0/8 or fd00::/8'],
    ["10.0.0.0/33", '"10.0.0.0/33" needs a prefix of 0 to 32 after its slash'],
    ["10.0.0.0/", '"10.0.0.0/" needs a prefix of 0 to 32 after its slash'],
    ["10.0.0.0/-1", '"10.0.0.0/-1" needs a prefix of 0 to 32 after its slash'],
    ["10.1.2.3/8", '"10.1.2.3/8" names one address and a whole block; write 10.0.0.0/8 or 10.1.2.3/32'],
    ["fd00::1/8", '"fd00::1/8" names one address and a whole block; write fd00::/8 or fd00::1/128'],
  ])("that cannot be meant is refused with the fix: %s", (text, message) => {
    expect(() => parseAddressBlocks(["::1", text])).toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", problems: [{ field: "allow[1]", message }] }),
    );
  });

  test("is read back as a fix when the message offers one", () => {
    fc.assert(
      fc.property(anyV4, fc.integer({ min: 1, max: 31 }), (value, bits) => {
        const text = `${v4Text(value)}/${bits}`;
        let blocks = [text];
        try {
          parseAddressBlocks(blocks);
        } catch (error) {
          blocks = /write (\S+) or (\S+)$/.exec((error as Error).message)?.slice(1) ?? [];
        }
        for (const block of blocks) expect(isIPv4(block.split("/")[0]!)).toBe(true);
        expect(forbiddenRange(v4Text(value), parseAddressBlocks(blocks))).toBeNull();
      }),
    );
  });
});
