import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProgressMeter } from "../../src/domain/progressMeter.ts";

describe("progress meter", () => {
  test("says nothing before a quarter of a second has passed", () => {
    const meter = new ProgressMeter();
    expect(meter.at(1_000, 0, 100)).toEqual({ ratePerSecond: null, timeLeftMs: null });
    expect(meter.at(1_249, 50, 100)).toEqual({ ratePerSecond: null, timeLeftMs: null });
  });

  test("works the rate and the time left out from what was done since the first moment", () => {
    const meter = new ProgressMeter();
    meter.at(0, 400, 1_000);
    expect(meter.at(2_000, 600, 1_000)).toEqual({ ratePerSecond: 100, timeLeftMs: 4_000 });
  });

  test("counts only the last ten seconds: a slow beginning is forgotten", () => {
    const meter = new ProgressMeter();
    for (let second = 0; second <= 30; second++) meter.at(second * 1_000, second, 10_000);
    let pace = meter.at(31_000, 1_030, 10_000);
    for (let second = 32; second <= 45; second++) {
      pace = meter.at(second * 1_000, 1_030 + (second - 31) * 1_000, 100_000);
    }
    expect(pace.ratePerSecond).toBeCloseTo(1_000);
  });

  test("knows no time left without a total, or while nothing gets on, and none when all is done", () => {
    const meter = new ProgressMeter();
    meter.at(0, 5, null);
    expect(meter.at(1_000, 10, null)).toEqual({ ratePerSecond: 5, timeLeftMs: null });
    const stuck = new ProgressMeter();
    stuck.at(0, 5, 10);
    expect(stuck.at(1_000, 5, 10)).toEqual({ ratePerSecond: 0, timeLeftMs: null });
    expect(new ProgressMeter().at(0, 10, 10)).toEqual({ ratePerSecond: null, timeLeftMs: 0 });
  });

  test("measures anew when less is done than before", () => {
    const meter = new ProgressMeter();
    meter.at(0, 0, null);
    meter.at(1_000, 1_000, null);
    expect(meter.at(1_100, 0, null).ratePerSecond).toBeNull();
    expect(meter.at(2_100, 10, null).ratePerSecond).toBe(10);
  });

  test("at a steady pace is right at any moment, however often it is asked", () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 2, maxLength: 100 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 100_000 }), (gapsMs, perSecond) => {
        const meter = new ProgressMeter();
        let nowMs = 0;
        for (const gapMs of [0, ...gapsMs]) {
          nowMs += gapMs;
          const total = ((nowMs + 5_000) * perSecond) / 1_000;
          const { ratePerSecond, timeLeftMs } = meter.at(nowMs, (nowMs * perSecond) / 1_000, total);
          if (nowMs < 250) expect(ratePerSecond).toBeNull();
          if (ratePerSecond === null) continue;
          expect(ratePerSecond).toBeCloseTo(perSecond, 3);
          expect(timeLeftMs).toBeCloseTo(5_000, 0);
        }
      }),
    );
  });
});
