import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { forbiddenRange } from "../../src/security/addressRanges.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { vetUrl } from "../../src/security/outboundUrl.ts";

const strict = { policy: outboundPolicy({}), allowHttp: true };
const codeOf = (text: string): string | null => vetUrl(text, strict)?.code ?? null;

describe("an outbound policy", () => {
  test("names the setting whose block cannot be read", () => {
    expect(() => outboundPolicy({ allow: ["::1", "intranet"] })).toThrow(
      'EGRET_OUTBOUND_ALLOW[1]: "intranet" is no address block',
    );
  });
});

describe("a target's URL", () => {
  test.each([
    "https://hooks.example.com/in",
    "https://hooks.example.com:8443/in?token=a%20b",
    "http://hooks.example.com:30080/",
    "https://bücher.example/",
    "https://93.184.215.14/",
    "https://[2606:4700:4700::1111]:8443/",
    "https://example.com/a@b",
  ])("is taken: %s", (text) => {
    expect(vetUrl(text, strict)).toBeNull();
  });

  test.each([
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.01/",
    "http://017700000001/",
    "http://%31%32%37.0.0.1/",
    "http://１２７。０。０。１/",
    "http://①②⑦.0.0.1/",
    "http://0/",
    "http://0xa9fea9fe/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::1.1.1.1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://egret.localhost:4747/",
  ])("is refused for its address however that is written: %s", (text) => {
    expect(codeOf(text)).toBe("EGRET_ADDRESS_FORBIDDEN");
  });

  test.each([
    ["ftp://example.com/", "EGRET_SCHEME_FORBIDDEN"],
    ["file:///etc/passwd", "EGRET_SCHEME_FORBIDDEN"],
    ["javascript:alert(1)", "EGRET_SCHEME_FORBIDDEN"],
    ["gopher://example.com/", "EGRET_SCHEME_FORBIDDEN"],
    ["unix:/var/run/docker.sock", "EGRET_SCHEME_FORBIDDEN"],
    ["", "EGRET_URL_INVALID"],
    ["example.com/in", "EGRET_URL_INVALID"],
    ["https://", "EGRET_URL_INVALID"],
    ["https:example.com", "EGRET_URL_INVALID"],
    ["https:///example.com", "EGRET_URL_INVALID"],
    ["https://user:pass@example.com/", "EGRET_URL_INVALID"],
    ["https://@example.com/", "EGRET_URL_INVALID"],
    ["https://example.com%40127.0.0.1@example.com/", "EGRET_URL_INVALID"],
    ["https://example.com/#part", "EGRET_URL_INVALID"],
    ["https://example.com/#", "EGRET_URL_INVALID"],
    ["https://exa\nmple.com/", "EGRET_URL_INVALID"],
    [" https://example.com/", "EGRET_URL_INVALID"],
    ["https:\\\\example.com\\@127.0.0.1/", "EGRET_URL_INVALID"],
    ["https://example.com/a b", "EGRET_URL_INVALID"],
    ["https://example.com:22/", "EGRET_PORT_FORBIDDEN"],
    ["https://example.com:6379/", "EGRET_PORT_FORBIDDEN"],
    ["https://example.com:0/", "EGRET_PORT_FORBIDDEN"],
    ["https://example.com:65536/", "EGRET_URL_INVALID"],
    ["https://1.2.3.256/", "EGRET_URL_INVALID"],
    ["https://[fe80::1%25eth0]/", "EGRET_URL_INVALID"],
  ])("is refused: %j", (text, code) => {
    expect(codeOf(text)).toBe(code);
  });

  test("never shows the password that it refuses", () => {
    expect(vetUrl("https://user:hunter2@example.com/", strict)?.message).not.toContain("hunter2");
  });

  test("needs https unless http is allowed", () => {
    const rules = { ...strict, allowHttp: false };
    expect(vetUrl("http://example.com/", rules)).toEqual({
      code: "EGRET_SCHEME_FORBIDDEN",
      message: "Must begin with https:// (for development, set EGRET_ALLOW_HTTP=true).",
    });
    expect(vetUrl("https://example.com/", rules)).toBeNull();
  });

  test("keeps to the ports that are listed, the usual one included", () => {
    const rules = { policy: outboundPolicy({ allowPorts: [443, 6379] }), allowHttp: true };
    expect(vetUrl("https://example.com/", rules)).toBeNull();
    expect(vetUrl("https://example.com:6379/", rules)).toBeNull();
    expect(vetUrl("https://example.com:8443/", rules)?.message).toBe(
      "Port 8443 is not called; choose another port.",
    );
    expect(vetUrl("http://example.com/", rules)?.code).toBe("EGRET_PORT_FORBIDDEN");
  });

  test.each([
    "http://127.0.0.1/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://localhost/",
    "http://[fe80::1]/",
  ])("is taken once the setting that the message offers is made: %s", (text) => {
    const message = vetUrl(text, strict)?.message ?? "";
    const setting = /EGRET_OUTBOUND_ALLOW=(\S+)\.$/.exec(message)?.[1] ?? "";
    const policy = outboundPolicy({ allow: setting.split(",") });
    expect(vetUrl(text, { policy, allowHttp: true })).toBeNull();
  });
});

const octets = fc.tuple(...([0, 1, 2, 3] as const).map(() => fc.nat({ max: 255 })));
/** Ways to write one number of an address. */
const spelling = fc.constantFrom(
  (part: number) => String(part),
  (part: number) => `0${part.toString(8)}`,
  (part: number) => `0x${part.toString(16)}`,
  (part: number) => `0X000${part.toString(16).toUpperCase()}`,
);

describe("an IPv4 address in a URL", () => {
  test("is judged alike as four, three, two or one number, decimal, octal or hexadecimal", () => {
    const heads = fc.constantFrom(0, 10, 127, 169, 172, 192, 8, 93, 203, 255);
    fc.assert(
      fc.property(octets, heads, fc.tuple(spelling, spelling, spelling, spelling), (rest, head, spell) => {
        const [, b = 0, c = 0, d = 0] = rest;
        const plain = `${head}.${b}.${c}.${d}`;
        const isForbidden = forbiddenRange(plain, []) !== null;
        const tail = (b * 256 + c) * 256 + d;
        const forms = [[head, b, c, d], [head, b, c * 256 + d], [head, tail], [head * 2 ** 24 + tail]];
        for (const form of forms) {
          const host = form.map((part, at) => spell[at]?.(part)).join(".");
          expect([host, codeOf(`http://${host}/`)]).toEqual([
            host,
            isForbidden ? "EGRET_ADDRESS_FORBIDDEN" : null,
          ]);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
