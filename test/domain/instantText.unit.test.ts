import { describe, expect, test } from "vitest";
import { instantOf, instantText, readInstant } from "../../src/domain/instantText.ts";

describe("readInstant", () => {
  test.each([
    ["2026-02-01", "2026-02-01T00:00:00Z"],
    ["2026-02-01 10:20", "2026-02-01T10:20:00Z"],
    ["2026-02-01 10:20:30.123456", "2026-02-01T10:20:30.123456Z"],
    ["2026-02-01T10:20:30Z", "2026-02-01T10:20:30Z"],
    ["2026-02-01 10:20:30 UTC", "2026-02-01T10:20:30Z"],
    ["2026-02-01 00:20:30+02", "2026-01-31T22:20:30Z"],
    ["2026-12-31T23:20:30.5-05:30", "2027-01-01T04:50:30.5Z"],
    [" 0001-01-01 ", "0001-01-01T00:00:00Z"],
    ["2024-02-29", "2024-02-29T00:00:00Z"],
  ])("reads %s", (text, expected) => {
    const instant = readInstant(text);
    expect(instant && instantText(instant, "iso8601")).toBe(expected);
  });

  test.each([
    "",
    "2026",
    "2026-02-30",
    "2025-02-29",
    "2026-13-01",
    "2026-02-01 24:00:00",
    "2026-02-01 10:60",
    "2026-02-01 10:20:60",
    "2026-02-01 10:20:30+16",
    "2026-02-01 10:20:30 CET",
    "0044-03-15 BC",
    "12026-02-01",
    "9999-12-31 23:00:00-05",
    "infinity",
    "1770000000",
  ])("refuses %j", (text) => {
    expect(readInstant(text)).toBeNull();
  });
});

test("a clock's reading loses its fraction", () => {
  const instant = instantOf(new Date("2026-02-03T10:00:00.999Z"));
  expect(instantText(instant, "space_separated")).toBe("2026-02-03 10:00:00 UTC");
});
