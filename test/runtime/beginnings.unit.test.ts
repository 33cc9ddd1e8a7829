import { beforeEach, describe, expect, test } from "vitest";
import { Beginnings } from "../../src/runtime/deliveries/beginnings.ts";

let beginnings: Beginnings;
beforeEach(() => {
  beginnings = new Beginnings();
});

/** How many begin of those that want to, one each 10 ms, from `fromMs` on. */
function begun(fromMs: number, seconds: number): number {
  let count = 0;
  for (let ms = fromMs; ms < fromMs + seconds * 1000; ms += 10) if (beginnings.take(ms)) count += 1;
  return count;
}
const fail = (times: number, atMs: number) => {
  for (let time = 0; time < times; time += 1) beginnings.failed(atMs);
};

describe("deliveries", () => {
  test("all begin at a target that answers, and at one that has failed for a moment", () => {
    expect(begun(0, 10)).toBe(1_000);
    fail(500, 10_000);
    expect(begun(10_000, 9)).toBe(900);
  });

  test("begin at 20 a second at a target that goes on failing", () => {
    fail(10, 0);
    const count = begun(10_000, 60);
    expect(count).toBeGreaterThanOrEqual(60 * 20);
    expect(count).toBeLessThanOrEqual(60 * 20 + 20);
  });

  test("all begin again as soon as it answers", () => {
    fail(10, 0);
    begun(20_000, 5);
    beginnings.accepted();
    expect(beginnings.isFailing).toBe(false);
    expect(begun(25_000, 1)).toBe(100);
  });

  test("do not gather a right to begin while nothing is asked for", () => {
    fail(10, 0);
    begun(20_000, 1);
    expect(begun(500_000, 1)).toBeLessThanOrEqual(40);
  });
});
