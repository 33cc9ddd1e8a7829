import { describe, expect, test } from "vitest";
import { createTestClock } from "./clock.ts";

describe("the test clock", () => {
  test("wakes sleepers in the order of their times, each at its own", async () => {
    const clock = createTestClock(0);
    const woken: string[] = [];
    const sleep = async (name: string, ms: number) => {
      await clock.sleep(ms);
      woken.push(`${name} at ${clock.now()}`);
    };
    const all = [sleep("late", 30), sleep("early", 10).then(() => sleep("again", 10))];

    await clock.advance(25);
    expect(woken).toEqual(["early at 10", "again at 20"]);
    expect(clock.now()).toBe(25);
    await clock.advance(5);
    await Promise.all(all);
    expect(woken.at(-1)).toBe("late at 30");
  });

  test("tells when a worker has reached its pause, and lets it be aborted", async () => {
    const clock = createTestClock(0);
    const waiting = clock.waitForSleepers(1);
    const abort = new AbortController();
    const sleep = clock.sleep(1000, abort.signal);
    await waiting;

    abort.abort(new Error("shutting down"));
    await expect(sleep).rejects.toThrow("shutting down");
    expect(clock.sleepers()).toBe(0);
  });
});
