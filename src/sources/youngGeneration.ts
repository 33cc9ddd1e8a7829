/**
 * Has V8 look through its young generation while many bytes pass through. Each read of a socket makes a buffer of 64 KiB
 * outside the heap, and V8 looks only once the small objects beside them have filled its 32 MiB: by then as much again,
 * and more, lies there in buffers that nobody needs. A small young generation (--max-semi-space-size) would do as well, but
 * deliveries, which make many small objects, pay a sixth of their speed for it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Looked through after so many bytes: it takes about a millisecond. */
const EVERY_BYTES = 1 << 23;

// Node has no function for it: a context made while the flag stands has V8's own.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as (what: { type: "minor" }) => void;
setFlagsFromString("--no-expose-gc");

let passed = 0;

/** Told of bytes that came through a socket and are soon garbage. */
export function bytesPassed(bytes: number): void {
  passed += bytes;
  if (passed < EVERY_BYTES) return;
  passed = 0;
  collect({ type: "minor" });
}
