import { describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { InvalidInput } from "../../src/domain/errors.ts";

const file = (syncs: Record<string, string>) => `
workspace: demo
sources: { db: { type: postgres, url: "postgres://127.0.0.1/db" } }
destinations: { ops: { type: webhook, url: "http://127.0.0.1/rows" } }
syncs:
${Object.entries(syncs)
  .map(([name, more]) => `  ${name}: { source: db, table: public.t, destination: ops, key: id, ${more} }`)
  .join("\n")}
`;

function problemsOf(syncs: Record<string, string>): { field: string; message: string }[] {
  try {
    parseEgretFile(file(syncs), "egret.yaml", { env: {}, allowHttp: true });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return error.problems.map(({ field, message }) => ({ field, message }));
  }
}

describe("triggers in egret.yaml", () => {
  test("may be a schedule and a sequence at once", () => {
    expect(
      problemsOf({
        a: 'schedule: { frequency: expression, cron_expression: "*/5 * * * *" }',
        b: "schedule: { frequency: weekly, day: Tuesday, hour: 24 }, sync_sequence: a, paused: true",
        c: "sync_sequence: b",
      }),
    ).toEqual([]);
  });

  test.each([
    [
      '{ frequency: expression, cron_expression: "61 * * * *" }',
      "schedule.cron_expression",
      /cannot be read/,
    ],
    ['{ frequency: expression, cron_expression: "0 0 30 2 *" }', "schedule.cron_expression", /never fire/],
    ["{ frequency: expression }", "schedule", /needs a `cron_expression`/],
    ["{ frequency: hourly, day: Monday }", "schedule.day", /no `day`/],
    ["{ frequency: weekly }", "schedule", /needs its `day`/],
  ])("refuses the schedule %s, at its place", (schedule, field, message) => {
    expect(problemsOf({ a: `schedule: ${schedule}` })).toEqual([
      { field: expect.stringContaining(`a.${field}`), message: expect.stringMatching(message) },
    ]);
  });

  test("refuses a sequence after a sync that is not there, naming the nearest", () => {
    expect(problemsOf({ airports: "", b: "sync_sequence: airport" })).toEqual([
      {
        field: expect.stringContaining("b.sync_sequence"),
        message: expect.stringMatching(/no sync "airport".*airports/s),
      },
    ]);
  });

  test("refuses a sync that runs after itself", () => {
    expect(problemsOf({ a: "sync_sequence: a" })).toEqual([
      { field: expect.stringContaining("a.sync_sequence"), message: expect.stringMatching(/after itself/) },
    ]);
  });

  test("refuses a circle, told once at each sync that is in it", () => {
    const problems = problemsOf({
      a: "sync_sequence: c",
      b: "sync_sequence: a",
      c: "sync_sequence: b",
      d: "sync_sequence: c",
      e: "",
    });
    expect(problems.map(({ field }) => field.replace(/^.*syncs\./, ""))).toEqual([
      "a.sync_sequence",
      "b.sync_sequence",
      "c.sync_sequence",
    ]);
    expect(problems[0]?.message).toMatch(/a after c after b after a/);
  });
});
