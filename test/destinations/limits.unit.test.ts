import { describe, expect, test } from "vitest";
import { LockedOut } from "../../src/runtime/deliveries/lockedOut.ts";
import { RateLimits } from "../../src/runtime/deliveries/rateLimit.ts";

describe("the rate of requests to one destination", () => {
  test("has a burst of one second's worth, then one place after the other", () => {
    const limits = new RateLimits(() => 0);
    expect(Array.from({ length: 6 }, () => limits.take(1, 4))).toEqual([0, 0, 0, 0, 250, 500]);
    expect(limits.take(2, 4)).toBe(0);
    expect(limits.take(1, null)).toBe(0);
  });

  test("fills up again with time, and no further than its burst", () => {
    let now = 0;
    const limits = new RateLimits(() => now);
    for (let n = 0; n < 4; n += 1) limits.take(1, 4);
    now = 500;
    expect([limits.take(1, 4), limits.take(1, 4), limits.take(1, 4)]).toEqual([0, 0, 250]);
    now = 60_000;
    expect(Array.from({ length: 5 }, () => limits.take(1, 4))).toEqual([0, 0, 0, 0, 250]);
  });

  test("is none while the destination asked for a wait, and the longest wait holds", () => {
    let now = 0;
    const limits = new RateLimits(() => now);
    limits.pause(1, 3_000);
    limits.pause(1, 1_000);
    expect([limits.pausedMs(1), limits.pausedMs(2)]).toEqual([3_000, 0]);
    expect(limits.take(1, 100)).toBe(3_000);
    now = 2_999;
    expect(limits.take(1, null)).toBe(1);
    now = 3_000;
    expect([limits.pausedMs(1), limits.take(1, 100)]).toEqual([0, 0]);
  });
});

describe("a destination that does not let us in", () => {
  const after = (...statuses: (number | null)[]) => {
    const lockedOut = new LockedOut();
    for (const status of statuses) lockedOut.answered(7, status);
    return lockedOut;
  };

  test("is one that answers 401 or 403 three times in a row", () => {
    expect(after(401, 403).isSo(7, 403)).toBe(false);
    expect(after(401, 403, 401).isSo(7, 401)).toBe(true);
    expect(after(401, 403, 401).isSo(7, 422)).toBe(false);
    expect(after(401, 403, 401).isSo(8, 401)).toBe(false);
  });

  test("is none once it answered anything else, whatever it says of the row", () => {
    expect(after(401, 401, 422, 401).isSo(7, 401)).toBe(false);
    expect(after(401, 401, 401, 200).isSo(7, 401)).toBe(false);
  });

  test("is not made out by an answer that never came", () => {
    expect(after(401, null, 401, null).isSo(7, 401)).toBe(false);
    expect(after(401, null, 401, 401).isSo(7, 401)).toBe(true);
  });
});
