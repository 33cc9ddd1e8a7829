import { describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import {
  DESTINATION_RETRY_DELAYS_MS,
  destinationDelayMs,
  parseRetryAfter,
} from "../../src/domain/retryPolicy.ts";
import { endingOf } from "../../src/runtime/deliveries/attemptEvent.ts";
import type { PendingData } from "../../src/runtime/deliveries/deliveryActor.ts";
import { batchOf } from "../../src/runtime/deliveries/destinationTarget.ts";

const pending = { delivery_id: "7-3" } as PendingData;
const dead = (reason: string, http_status: number | null): AnyEvent =>
  ({ type: "delivery.dead", data: { reason, http_status, error: `HTTP ${http_status}` } }) as AnyEvent;

describe("what the end of a delivery means for its batch", () => {
  test.each([
    ["refused", 422, "rejected"],
    ["exhausted", 429, "rejected"],
    ["exhausted", 503, "unavailable"],
    ["exhausted", null, "unavailable"],
    ["run_ended", null, "dropped"],
  ])("%s with HTTP %s: %s", (reason, httpStatus, outcome) => {
    expect(endingOf(pending, dead(reason, httpStatus), null)).toMatchObject({ outcome, httpStatus });
  });
});

describe("the wait before the next attempt at a destination", () => {
  test("doubles from a second to a minute in seven steps, each a fifth shorter or longer at most", () => {
    expect(DESTINATION_RETRY_DELAYS_MS).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
    for (const [index, delayMs] of DESTINATION_RETRY_DELAYS_MS.entries()) {
      expect(destinationDelayMs(index + 1, null, 0)).toBe(delayMs * 0.8);
      expect(destinationDelayMs(index + 1, null, 0.5)).toBe(delayMs);
      expect(destinationDelayMs(index + 1, null, 0.999_999)).toBeCloseTo(delayMs * 1.2, -1);
    }
  });

  test("is what the destination asked for where that is longer", () => {
    expect(destinationDelayMs(1, 30_000, 0.5)).toBe(30_000);
    expect(destinationDelayMs(5, 3_000, 0.5)).toBe(16_000);
  });

  test("is read from seconds or from a date", () => {
    const now = new Date("2026-02-03T10:00:00Z");
    expect(parseRetryAfter("7", now)).toBe(7_000);
    expect(parseRetryAfter("Tue, 03 Feb 2026 10:01:00 GMT", now)).toBe(60_000);
    expect(parseRetryAfter("Tue, 03 Feb 2026 09:00:00 GMT", now)).toBe(0);
    expect([parseRetryAfter("soon", now), parseRetryAfter(null, now)]).toEqual([null, null]);
  });
});

describe("the batch that a delivery's id names", () => {
  test.each([
    ["7-3", 3],
    ["7-3_1", "3_1"],
    ["7-12_1_2_2", "12_1_2_2"],
  ])("%s: %s", (id, batch) => {
    expect(batchOf({ delivery_id: id })).toBe(batch);
  });

  test.each(["7-", "7-x", "7-3_3", "7-3_", "7-1.5"])("%s: none", (id) => {
    expect(() => batchOf({ delivery_id: id })).toThrow("names no batch");
  });
});
