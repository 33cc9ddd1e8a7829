import { describe, expect, test } from "vitest";
import { HeldBatches } from "../../src/engine/heldBatches.ts";
import type { BatchToSend } from "../../src/engine/settle.ts";

const batch = (batchNo: number, bytes = 10): BatchToSend => ({
  batchNo,
  body: Buffer.alloc(bytes),
  bodySha256: "",
  records: 1,
  outcome: null,
  request: null,
});

describe("held batches", () => {
  test("are given once, by their number or the name of a half", () => {
    const held = new HeldBatches();
    held.hold(1, 7, batch(7));
    held.hold(1, "7_1", batch(8));
    expect(held.take(2, 7)).toBeNull();
    expect(held.take(1, 7)?.batchNo).toBe(7);
    expect(held.take(1, 7)).toBeNull();
    expect(held.take(1, "7_1")?.batchNo).toBe(8);
  });

  test("are not held without bytes, which are gone once a batch is withdrawn", () => {
    const held = new HeldBatches();
    held.hold(1, 1, { ...batch(1), body: null });
    expect(held.take(1, 1)).toBeNull();
  });

  test("are forgotten with their run", () => {
    const held = new HeldBatches();
    held.hold(1, 1, batch(1));
    held.hold(2, 1, batch(1));
    held.drop(1);
    expect(held.take(1, 1)).toBeNull();
    expect(held.take(2, 1)).not.toBeNull();
  });

  test("are not given when they were read long ago", () => {
    let nowMs = 0;
    const held = new HeldBatches(() => nowMs);
    held.hold(1, 1, batch(1));
    nowMs = 1_001;
    expect(held.take(1, 1)).toBeNull();
  });

  test("take a bounded memory, which what nobody took gives back after a while", () => {
    let nowMs = 0;
    const held = new HeldBatches(() => nowMs);
    const bytes = 8_192;
    let count = 0;
    while (held.makeRoom() && count < 10_000) held.hold(1, count++, batch(count, bytes));
    expect(count * bytes).toBeLessThanOrEqual(4 << 20);
    held.hold(1, "beyond", batch(0));
    expect(held.take(1, "beyond")).toBeNull();
    nowMs = 1_001;
    expect(held.makeRoom()).toBe(true);
    held.hold(1, "beyond", batch(0));
    expect(held.take(1, "beyond")).not.toBeNull();
  });

  test("have the room back that a batch took which was given away, dropped or read anew", () => {
    const held = new HeldBatches();
    const half = (4 << 20) / 2;
    held.hold(1, 1, batch(1, half));
    held.hold(1, 1, batch(1, half));
    expect(held.makeRoom()).toBe(true);
    held.hold(1, 2, batch(2, half));
    expect(held.makeRoom()).toBe(false);
    held.take(1, 1);
    expect(held.makeRoom()).toBe(true);
    held.drop(1);
    held.hold(2, 1, batch(1, half));
    expect(held.makeRoom()).toBe(true);
  });
});
