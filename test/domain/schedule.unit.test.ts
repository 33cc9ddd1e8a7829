import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  latestTick,
  nextTick,
  type Schedule,
  scheduleFaults,
  scheduleWords,
} from "../../src/domain/schedule.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;
const MINUTE_MS = 60_000;

const at = (text: string) => new Date(text);
const next = (schedule: Schedule, after: string) => nextTick(schedule, at(after))?.toISOString() ?? null;
const cron = (cron_expression: string): Schedule => ({ frequency: "expression", cron_expression });

describe("nextTick", () => {
  test.each<[string, Schedule, string, string | null]>([
    ["never", { frequency: "never" }, "2026-02-03T10:00:00.000Z", null],
    [
      "a minute after the run before",
      { frequency: "continuous" },
      "2026-02-03T10:00:12.345Z",
      "2026-02-03T10:01:12.345Z",
    ],
    [
      "the next quarter",
      { frequency: "quarter_hourly" },
      "2026-02-03T10:14:59.999Z",
      "2026-02-03T10:15:00.000Z",
    ],
    [
      "not the quarter that is",
      { frequency: "quarter_hourly" },
      "2026-02-03T10:45:00.000Z",
      "2026-02-03T11:00:00.000Z",
    ],
    [
      "at its minute",
      { frequency: "hourly", minute: 7 },
      "2026-02-03T10:07:00.000Z",
      "2026-02-03T11:07:00.000Z",
    ],
    [
      "hourly without a minute",
      { frequency: "hourly" },
      "2026-02-03T10:00:00.001Z",
      "2026-02-03T11:00:00.000Z",
    ],
    [
      "daily at hour 24, which is 0",
      { frequency: "daily", hour: 24, minute: 5 },
      "2026-02-28T00:05:00.000Z",
      "2026-03-01T00:05:00.000Z",
    ],
    ["daily without a time", { frequency: "daily" }, "2028-02-28T23:59:59.999Z", "2028-02-29T00:00:00.000Z"],
    [
      "weekly",
      { frequency: "weekly", day: "Tuesday", hour: 6, minute: 45 },
      "2026-02-03T06:45:00.000Z",
      "2026-02-10T06:45:00.000Z",
    ],
    [
      "later on its day",
      { frequency: "weekly", day: "Tuesday", hour: 6, minute: 45 },
      "2026-02-03T06:44:59.000Z",
      "2026-02-03T06:45:00.000Z",
    ],
    ["cron with steps", cron("*/4 * * * *"), "2026-02-03T10:04:00.000Z", "2026-02-03T10:08:00.000Z"],
    [
      "cron with lists and ranges",
      cron("0,30 9-17 * * MON-FRI"),
      "2026-02-06T17:30:00.000Z",
      "2026-02-09T09:00:00.000Z",
    ],
    [
      "cron in UTC over a change to summer time",
      cron("30 2 * * *"),
      "2026-03-29T00:00:00.000Z",
      "2026-03-29T02:30:00.000Z",
    ],
    ["cron on leap days", cron("0 0 29 2 *"), "2026-01-01T00:00:00.000Z", "2028-02-29T00:00:00.000Z"],
    [
      "cron where one of day and weekday is enough",
      cron("0 0 13 * 5"),
      "2026-02-10T00:00:00.000Z",
      "2026-02-13T00:00:00.000Z",
    ],
  ])("fires: %s", (_name, schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected);
  });

  const instants = fc.date({
    min: at("1971-01-01T00:00:00Z"),
    max: at("2200-01-01T00:00:00Z"),
    noInvalidDate: true,
  });
  const minute = fc.integer({ min: 0, max: 59 });
  const hour = fc.integer({ min: 0, max: 24 });
  const simple: fc.Arbitrary<Schedule> = fc.oneof(
    fc.constant<Schedule>({ frequency: "quarter_hourly" }),
    fc.record({ frequency: fc.constant("hourly" as const), minute }),
    fc.record({ frequency: fc.constant("daily" as const), hour, minute }),
    fc.record({ frequency: fc.constant("weekly" as const), day: fc.constantFrom(...DAYS), hour, minute }),
  );
  const field = (min: number, max: number) =>
    fc.oneof(
      fc.constant("*"),
      fc.integer({ min: 1, max: 6 }).map((step) => `*/${step}`),
      fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 3 }).map((list) => list.join(",")),
      fc
        .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
        .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    );
  // Months and days that every year has, so that a tick is never far and can be looked for minute by minute.
  const crons = fc
    .tuple(field(0, 59), field(0, 23), fc.constant("*"), fc.constant("*"), field(0, 6))
    .map((fields) => cron(fields.join(" ")));

  /** The same, said as a question about one minute. */
  function fires(schedule: Schedule, date: Date): boolean {
    const [m, h, d] = [date.getUTCMinutes(), date.getUTCHours(), date.getUTCDay()];
    const [minute, hour] = [schedule.minute ?? 0, (schedule.hour ?? 0) % 24];
    switch (schedule.frequency) {
      case "quarter_hourly":
        return m % 15 === 0;
      case "hourly":
        return m === minute;
      case "daily":
        return m === minute && h === hour;
      case "weekly":
        return m === minute && h === hour && DAYS[d] === schedule.day;
      case "expression": {
        const fields = (schedule.cron_expression ?? "").split(" ");
        return fits(fields[0], m) && fits(fields[1], h) && fits(fields[4], d);
      }
      default:
        return false;
    }
  }
  function fits(field = "*", value: number): boolean {
    if (field === "*") return true;
    if (field.startsWith("*/")) return value % Number(field.slice(2)) === 0;
    return field.split(",").some((part) => {
      const [from = 0, to = from] = part.split("-").map(Number);
      return value >= from && value <= to;
    });
  }

  test("gives the first minute after the instant at which the schedule fires, for every kind", () => {
    fc.assert(
      fc.property(fc.oneof(simple, crons), instants, (schedule, after) => {
        const tick = nextTick(schedule, after);
        expect(tick).not.toBeNull();
        const start = Math.floor(after.getTime() / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
        let expected = start;
        while (!fires(schedule, new Date(expected))) expected += MINUTE_MS;
        expect(tick?.getTime()).toBe(expected);
      }),
      { numRuns: 200 },
    );
  });

  test("latestTick: is the last of the ticks that lie between, however many were missed", () => {
    const gaps = fc.integer({ min: 0, max: 3 * 24 * 60 });
    fc.assert(
      fc.property(fc.oneof(simple, crons), instants, gaps, (schedule, after, minutes) => {
        const due = nextTick(schedule, after);
        if (due === null) throw new Error("unreachable");
        const now = new Date(due.getTime() + minutes * MINUTE_MS + 17);
        let expected = due;
        for (;;) {
          const following = nextTick(schedule, expected);
          if (following === null || following > now) break;
          expected = following;
        }
        expect(latestTick(schedule, due, now)).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  test("latestTick: finds the last of a year's minutes without walking through them", () => {
    const from = performance.now();
    const last = latestTick(cron("* * * 1 *"), at("2026-01-01T00:00:00Z"), at("2026-12-24T10:00:00Z"));
    expect(last).toEqual(at("2026-01-31T23:59:00Z"));
    expect(performance.now() - from).toBeLessThan(2_000);
  });

  test("latestTick: a continuous schedule counts minutes from when it was due", () => {
    const latest = latestTick(
      { frequency: "continuous" },
      at("2026-01-01T00:00:10Z"),
      at("2026-01-01T01:00:09Z"),
    );
    expect(latest).toEqual(at("2026-01-01T00:59:10Z"));
  });
});

describe("scheduleFaults", () => {
  test.each([
    "0 6 * * 1-5",
    "*/4 * * * *",
    "0,30 9-17 * JAN-MAR MON,WED",
    "0 0 29 2 *",
    " 5  4 * * * ",
    "0 0 * JUL *",
    "0 0 * * WED",
  ])("takes the expression %j", (expression) => {
    expect(scheduleFaults(cron(expression))).toEqual([]);
  });

  test.each([
    ["* * * *", /five fields/],
    ["0 * * * * *", /five fields/],
    ["@hourly", /five fields/],
    ["61 * * * *", /cannot be read/],
    ["0 0 L * *", /five fields/],
    ["0 0 15W * *", /five fields/],
    ["0 0 * * 5#2", /five fields/],
    ["0 0 ? * *", /five fields/],
    ["0 0 30 2 *", /never fire/],
    ["a b c d e", /cannot be read/],
  ])("refuses the expression %j", (expression, message) => {
    expect(scheduleFaults(cron(expression))).toEqual([
      { field: "cron_expression", message: expect.stringMatching(message) },
    ]);
  });

  test("refuses fields that a frequency does not have, and misses those it needs", () => {
    const fields = (schedule: Schedule) => scheduleFaults(schedule).map(({ field }) => field);
    expect(fields({ frequency: "hourly", hour: 3 })).toEqual(["hour"]);
    expect(fields({ frequency: "expression", cron_expression: "0 0 * * *", hour: 1, day: "Friday" })).toEqual(
      ["day", "hour"],
    );
    expect(fields({ frequency: "daily", cron_expression: "0 0 * * *" })).toEqual(["cron_expression"]);
    expect(fields({ frequency: "weekly", hour: 3 })).toEqual(["day"]);
    expect(fields({ frequency: "expression" })).toEqual(["cron_expression"]);
    expect(fields({ frequency: "daily", hour: 24, minute: 59 })).toEqual([]);
  });
});

describe("scheduleWords", () => {
  test.each<[Schedule, string]>([
    [{ frequency: "hourly" }, "Hourly at minute 0"],
    [{ frequency: "daily", hour: 24, minute: 5 }, "Daily at 00:05 UTC"],
    [{ frequency: "weekly", day: "Tuesday", hour: 6, minute: 45 }, "Tuesdays at 06:45 UTC"],
    [cron("*/4 * * * *"), "Cron */4 * * * *"],
  ])("%j", (schedule, words) => {
    expect(scheduleWords(schedule)).toBe(words);
  });
});
