import { describe, expect, test } from "vitest";
import { deleteGuard, rejectGuard } from "../../src/engine/fuses.ts";

describe("deleteGuard", () => {
  test.each([
    [0, 0, 0],
    [1, 10, 10],
    [10, 10, 100],
    [10, 10, undefined],
  ])("lets %i deletes of %i pass at %s percent", (deletes, remembered, percent) => {
    expect(deleteGuard({ deletes, remembered }, percent)).toBeNull();
  });

  test("stops at one row more than the share, and says the figures and the way on", () => {
    const failure = deleteGuard({ deletes: 334, remembered: 1000 }, 33.3);
    expect(failure?.runCode).toBe("DELETE_GUARD");
    expect(failure?.message).toContain("334 of 1000 rows sent before (33.4 %)");
    expect(failure?.detail).toContain("--allow-deletes");
  });
});

describe("rejectGuard", () => {
  test.each([
    ["no share is set", 100, 100, null],
    ["fewer than twenty were rejected", 19, 19, 0],
    ["the share is met exactly", 20, 200, 10],
    ["nothing was planned", 0, 0, 0],
  ])("lets a run go on where %s", (_why, rejected, planned, percent) => {
    expect(rejectGuard({ rejected, planned }, percent)).toBeNull();
  });

  test("stops a run beyond the share, and says the figures and the way on", () => {
    const failure = rejectGuard({ rejected: 20, planned: 100 }, 19);
    expect(failure?.runCode).toBe("REJECT_GUARD");
    expect(failure?.message).toContain("20 of the run's 100 rows (20 %)");
    expect(failure?.detail).toContain("--allow-rejects");
  });
});
