/** Buckets that hold callers to a rate. */
import { describe, expect, test } from "vitest";
import { RateBuckets } from "../../src/http/rateBuckets.ts";

describe("a bucket", () => {
  test("gives its burst at once, then one at the steady rate", () => {
    let now = 0;
    const buckets = new RateBuckets<string>({ burst: 3, perSecond: 2 }, () => now);
    expect([1, 2, 3].map(() => buckets.take("a"))).toEqual([0, 0, 0]);
    expect(buckets.take("a")).toBe(1);
    expect(buckets.take("b")).toBe(0);
    now = 500;
    expect(buckets.take("a")).toBe(0);
    expect(buckets.take("a")).toBe(1);
  });

  test("asking in vain does not lengthen the wait, nor does a clock that goes back", () => {
    let now = 10_000;
    const buckets = new RateBuckets<string>({ burst: 1, perSecond: 0.1 }, () => now);
    expect(buckets.take("a")).toBe(0);
    expect(buckets.take("a")).toBe(10);
    now = 15_000;
    expect(buckets.take("a")).toBe(5);
    now = 0;
    expect(buckets.take("a")).toBe(5);
  });
});
