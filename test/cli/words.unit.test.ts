import { describe, expect, test } from "vitest";
import { describeFailure, NotConfigured, TimedOut } from "../../src/cli/failures.ts";
import { bytes, count, duration } from "../../src/cli/format.ts";
import { planLines } from "../../src/cli/planOutput.ts";
import { progressLine } from "../../src/cli/progressBar.ts";
import { AppError, InvalidInput, NotFound, Unavailable } from "../../src/domain/errors.ts";

describe("what commands print", () => {
  test("puts numbers, durations and sizes as people read them", () => {
    expect([count(3376), count(0), count(null)]).toEqual(["3,376", "0", "-"]);
    expect([0, 999, 4012, 65_000, 7_500_000].map(duration)).toEqual([
      "0 ms",
      "999 ms",
      "4.01 s",
      "1 min 5 s",
      "2 h 5 min",
    ]);
    expect([0, 1023, 1536, 268_435_456].map(bytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "256 MiB"]);
  });

  test("shows how far a run is, its rate, and the time that is left", () => {
    const view = {
      phase: "loading",
      rowsRead: 3376,
      planned: 1000,
      sent: 390,
      rejected: 10,
      perSecond: 200,
      timeLeftMs: 3_000,
    };
    const line = progressLine(view);
    expect(line).toContain("40 %  400 of 1,000 rows  10 rejected  200 rows/s  3.00 s left");
    expect(progressLine({ ...view, phase: "snapshotting" })).toContain(
      "3,376 rows read  1,000 changed  200 rows/s  3.00 s left",
    );
    expect(progressLine({ ...view, planned: 0, sent: 0, rejected: 0 })).toContain("100 %  0 of 0 rows");
  });

  test("shows of a changed secret only that it changed", () => {
    const fields = [
      { field: "label", secret: false as const, before: null, after: "x".repeat(80) },
      { field: "auth_token", secret: true as const },
    ];
    expect(planLines([{ action: "update", kind: "destination", name: "hook", fields }])).toEqual([
      "~ destination hook",
      `    label: (none) -> ${"x".repeat(60)}…`,
      "    auth_token: (secret, changed)",
      "Plan: 0 to create, 1 to change, 0 to delete, 0 unchanged.",
    ]);
  });
});

describe("a command that cannot go on", () => {
  test.each([
    [new InvalidInput("wrong"), 2],
    [new NotFound("not there"), 2],
    [new Unavailable("down"), 3],
    [new NotConfigured("where?"), 3],
    [new AppError("NATS_UNFIT", "too old"), 3],
    [new TimedOut("late"), 4],
    [new AppError("OTHER", "no"), 1],
    [Object.assign(new Error("relation does not exist"), { code: "42P01" }), 3],
    [Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }), 3],
    [new TypeError("x is not a function"), 1],
  ])("ends %s with %i", (error, exitCode) => {
    expect(describeFailure(error).exitCode).toBe(exitCode);
  });

  test("never shows a password that an address in a message carries", () => {
    const { lines } = describeFailure(new Error("cannot reach postgres://egret:hunter2@db:5432/x"));
    expect(lines).toEqual(["cannot reach postgres://[redacted]@db:5432/x"]);
  });

  test("puts a fault of a file as place, field, and fix", () => {
    const problem = { field: "syncs.a.key", message: 'egret.yaml:4:10: There is no column "idd".' };
    expect(describeFailure(new InvalidInput("egret.yaml has 1 problem", [problem])).lines).toEqual([
      "egret.yaml has 1 problem",
      '  egret.yaml:4:10: syncs.a.key: There is no column "idd".',
    ]);
  });
});
