import { describe, expect, test } from "vitest";
import { exchangeLines, printable, splitText } from "../../src/cli/exchangeLines.ts";
import { instant, timeSpan } from "../../src/cli/instant.ts";

describe("times on the command line", () => {
  test.each([
    ["0", 0],
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
  ])("%s is a span", (text, ms) => {
    expect(timeSpan(text)).toBe(ms);
  });

  test.each(["", "1", "h", "-1h", "1.5h", "1w", "24 h", "999999d", "1h1m"])("%j is no span", (text) => {
    expect(() => timeSpan(text)).toThrow(/Give a time such as|more than ten years/);
  });

  test.each([
    ["2026-02-03", "2026-02-03T00:00:00.000Z"],
    ["2026-02-03T14:00Z", "2026-02-03T14:00:00.000Z"],
    ["2026-02-03T14:00:01.5Z", "2026-02-03T14:00:01.500Z"],
    ["2026-02-03T14:00:00+02:00", "2026-02-03T12:00:00.000Z"],
  ])("%s is an instant", (text, iso) => {
    expect(instant(text).toISOString()).toBe(iso);
  });

  test("how long ago counts back from now", () => {
    expect(Math.abs(Date.now() - 7_200_000 - instant("2h").getTime())).toBeLessThan(60_000);
  });

  test.each(["yesterday", "2026-13-01", "2026-02-03 14:00", "2026-02-03T14:00", "03.02.2026", ""])(
    "%j is no instant",
    (text) => {
      expect(() => instant(text)).toThrow("Give an instant such as");
    },
  );
});

describe("an exchange on the terminal", () => {
  const split = { dnsMs: null, connectMs: 1.2, tlsMs: null, firstByteMs: 12, totalMs: 13 };

  test("names the steps that took time, and leaves out those that were not needed", () => {
    expect(splitText(split)).toBe("connect 1 ms, first byte 12 ms, total 13 ms");
  });

  test("holds nothing that a terminal would obey", () => {
    const lines = exchangeLines({
      requestHeaders: { "x-signature": "***" },
      responseHeaders: { server: "\u001B[2Jme", "x-many": ["a", "b"] },
      responseBody: "first\r\nsecond\u0007\u001B]0;title\u0007\u009B31m",
      split,
    });
    const text = lines.join("\n");
    // oxlint-disable-next-line no-control-regex -- colours of our own are let through
    expect(text.replaceAll(/\u001B\[\d+m/g, "")).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
    expect(text).toContain("[2Jme");
    expect(lines.filter((line) => line.includes("x-many"))).toHaveLength(2);
    expect(lines.filter((line) => line.includes("first") || line.includes("second"))).toHaveLength(3);
    expect(printable("a\tb\nc")).toBe("a\u00B7b\nc");
  });
});
