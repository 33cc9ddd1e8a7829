import { describe, expect, test } from "vitest";
import { cleanTraceparent, formatTraceparent, parseTraceparent } from "../../src/domain/traceparent.ts";

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const span = "00f067aa0ba902b7";

describe("a traceparent", () => {
  test("has a trace, a span, and whether it is sampled", () => {
    expect(parseTraceparent(`00-${trace}-${span}-01`)).toEqual({
      traceId: trace,
      spanId: span,
      isSampled: true,
    });
    expect(parseTraceparent(`00-${trace}-${span}-00`)?.isSampled).toBe(false);
    expect(parseTraceparent(`00-${trace}-${span}-03`)?.isSampled).toBe(true);
  });

  test("is written as it was read", () => {
    const context = { traceId: trace, spanId: span, isSampled: false };
    expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
  });

  test("of a later version is read as far as it is known, and goes on as version 00", () => {
    expect(cleanTraceparent(`cc-${trace}-${span}-01-what-the-future-brings`)).toBe(`00-${trace}-${span}-01`);
  });

  test.each([
    undefined,
    null,
    "",
    "hello",
    `00-${trace}-${span}`,
    `00-${trace}-${span}-01-more`,
    `ff-${trace}-${span}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace}-${span}-01\r\nX-Evil: 1`,
    `00-${trace}-${span}-01\n`,
    ` 00-${trace}-${span}-01`,
  ])("that is not well-formed is none: %j", (text) => {
    expect(cleanTraceparent(text)).toBeUndefined();
  });
});
