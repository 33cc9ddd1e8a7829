/** Chance that can be had again: numbers that follow from a seed, so that a failing run is repeated as it was. */
import { createHash } from "node:crypto";

/** A generator of numbers in [0, 1); the same seed gives the same numbers in the same order. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // A Weyl sequence whose steps are mixed: enough for choosing faults, and short.
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Two numbers in [0, 1) that follow from a text alone, whatever was asked before. */
export function chanceOf(text: string): readonly [number, number] {
  const digest = createHash("sha256").update(text).digest();
  return [digest.readUInt32BE(0) / 2 ** 32, digest.readUInt32BE(4) / 2 ** 32];
}
