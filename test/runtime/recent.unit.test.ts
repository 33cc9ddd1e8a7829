import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { remember } from "../../src/runtime/deliveries/recent.ts";

let rows: Map<number, { value: string; stamp: string }>;
let reads: number[];
let looks: number[][];
const read = async (id: number) => {
  reads.push(id);
  return rows.get(id)?.value ?? null;
};
const stamps = async (ids: number[]) => {
  looks.push(ids);
  return new Map([...rows].filter(([id]) => ids.includes(id)).map(([id, { stamp }]) => [id, stamp]));
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  rows = new Map([1, 2, 3].map((id) => [id, { value: `row ${id}`, stamp: "a" }]));
  [reads, looks] = [[], []];
});
afterEach(() => void vi.useRealTimers());

describe("a row that is remembered", () => {
  test("is read once for all who ask within its time, and again after it", async () => {
    const recent = remember({ ttlMs: 100, read });
    expect(await Promise.all([recent(1), recent(1), recent(2)])).toEqual(["row 1", "row 1", "row 2"]);
    expect(reads).toEqual([1, 2]);
    vi.setSystemTime(Date.now() + 101);
    await recent(1);
    expect(reads).toEqual([1, 2, 1]);
  });

  test("is given without a promise once all who waited for it have it", async () => {
    const recent = remember({ ttlMs: 100, read });
    const order: string[] = [];
    const first = Promise.resolve(recent(1)).then(() => order.push("first"));
    await Promise.all([first, Promise.resolve(recent(1)).then(() => order.push("second"))]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(recent(1)).toBe("row 1");
    expect(order).toEqual(["first", "second"]);
    vi.setSystemTime(Date.now() + 101);
    expect(recent(1)).toBeInstanceOf(Promise);
    expect(reads).toEqual([1, 1]);
  });

  test("is not read again while its stamp stays, and one look asks for all", async () => {
    const recent = remember({ ttlMs: 100, read, stamps });
    for (let round = 0; round < 4; round += 1) {
      await Promise.all([recent(1), recent(2), recent(3)]);
      vi.setSystemTime(Date.now() + 101);
    }
    expect(looks).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
    // Once without a stamp, once with the first one.
    expect(reads).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test("is read again when it changed, and null when it is gone", async () => {
    const recent = remember({ ttlMs: 100, read, stamps });
    for (let round = 0; round < 2; round += 1) {
      await Promise.all([recent(1), recent(2)]);
      vi.setSystemTime(Date.now() + 101);
    }
    rows.set(1, { value: "changed", stamp: "b" });
    rows.delete(2);
    expect(await Promise.all([recent(1), recent(2)])).toEqual(["changed", null]);
  });

  test("is forgotten when nobody asks for it", async () => {
    const recent = remember({ ttlMs: 100, read, stamps });
    await Promise.all([recent(1), recent(2)]);
    for (let round = 0; round < 3; round += 1) {
      vi.setSystemTime(Date.now() + 101);
      await recent(1);
    }
    expect(looks.at(-1)).toEqual([1]);
  });

  test("is asked for anew after a read that failed", async () => {
    let fails = true;
    const recent = remember({
      ttlMs: 100,
      stamps,
      read: async (id: number) => {
        if (fails) throw new Error("away");
        return read(id);
      },
    });
    await expect(recent(1)).rejects.toThrow("away");
    fails = false;
    expect(await recent(1)).toBe("row 1");
  });
});
