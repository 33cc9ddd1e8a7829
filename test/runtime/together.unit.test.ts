/** Doing together what is asked at about the same time. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Together } from "../../src/runtime/together.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Calls that each take 1 ms, and with how many asks each began. */
function recording() {
  const calls: number[] = [];
  const perform = async (asks: readonly number[]) => {
    calls.push(asks.length);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return asks.map((ask) => ask * 2);
  };
  return { together: new Together(perform), calls };
}

describe("Together", () => {
  test("asks in one call what is asked in one turn, and gives each its own answer", async () => {
    const { together, calls } = recording();
    const answers = Promise.all([together.ask(1), together.ask(2), together.ask(3)]);
    await vi.runAllTimersAsync();
    expect(await answers).toEqual([2, 4, 6]);
    expect(calls).toEqual([3]);
  });

  test("throws to all of a call what it throws, and goes on", async () => {
    let isBroken = true;
    const together = new Together(async (asks: readonly number[]) => {
      if (isBroken) throw new Error("not now");
      return asks;
    });
    const answers = Promise.allSettled([together.ask(1), together.ask(2)]);
    await vi.runAllTimersAsync();
    expect((await answers).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    isBroken = false;
    const answer = together.ask(3);
    await vi.runAllTimersAsync();
    expect(await answer).toBe(3);
  });

  test("makes two calls at once, and gathers what comes meanwhile", async () => {
    const { together, calls } = recording();
    const asks = [together.ask(1)];
    await vi.advanceTimersByTimeAsync(0);
    asks.push(together.ask(2));
    await vi.advanceTimersByTimeAsync(0);
    asks.push(together.ask(3));
    await vi.advanceTimersByTimeAsync(0);
    asks.push(together.ask(4));
    await vi.advanceTimersByTimeAsync(0);
    expect(calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(5);
    expect(calls).toEqual([1, 1, 2]);
    expect(await Promise.all(asks)).toEqual([2, 4, 6, 8]);
  });
});
