import { validateHeaderName, validateHeaderValue } from "node:http";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headerProblem } from "../../src/security/headerProblem.ts";

describe("a configured header", () => {
  test.each([
    ["Authorization", "Bearer abc.def=="],
    ["X-Api-Key", ""],
    ["X-Two-Words", "a\tb c"],
  ])("is taken: %s", (name, value) => {
    expect(headerProblem(name, value)).toBeNull();
  });

  test.each([
    ["", "x", "A header's name is made of"],
    ["X Y", "x", "A header's name is made of"],
    ["X:Y", "x", "A header's name is made of"],
    ["X\r\nEvil", "x", "A header's name is made of"],
    ["Ünicode", "x", "A header's name is made of"],
    ["Host", "other.example", "belongs to the connection"],
    ["content-LENGTH", "0", "belongs to the connection"],
    ["Transfer-Encoding", "chunked", "belongs to the connection"],
    ["Proxy-Authorization", "x", "belongs to the connection"],
    ["X-Signature", "x", "is written by Egret"],
    ["Content-Type", "text/plain", "is written by Egret"],
    ["X-Token", "a\r\nX-Evil: 1", "holds a line break"],
    ["X-Token", "a\n", "holds a line break"],
    ["X-Token", "a\u0000b", "not plain ASCII"],
    ["X-Token", "naïve", "not plain ASCII"],
    ["X-Token", "a\u2028b", "not plain ASCII"],
    ["X-Token", " a", "begins or ends with a space"],
    ["X-Token", "a".repeat(5_000), "longer than 4096 bytes"],
  ])("is refused: %j: %j", (name, value, part) => {
    expect(headerProblem(name, value)).toContain(part);
  });

  test("that is taken is one that Node sends, and no complaint quotes its value", () => {
    const text = fc.string({ unit: "binary", maxLength: 20 });
    fc.assert(
      fc.property(fc.oneof(text, fc.constant("X-Name")), text, text, (name, before, after) => {
        // No sentence of ours holds this word by chance.
        const value = `${before}s3cr3t${after}`;
        const problem = headerProblem(name, value);
        if (problem === null) {
          validateHeaderName(name);
          validateHeaderValue(name, value);
          expect(/[\r\n\0]/.test(name + value)).toBe(false);
        } else {
          expect(problem).not.toContain("s3cr3t");
        }
      }),
    );
  });
});
