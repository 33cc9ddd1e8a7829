/** Ids of events: UUIDs of version 7, so that they sort by their time. */
import { randomFillSync } from "node:crypto";
import { v7 as uuidv7 } from "uuid";

const BYTES_PER_ID = 16;
/** Asking for random bytes costs more than all the rest of an id: they are fetched for many ids at once. */
const pool = new Uint8Array(BYTES_PER_ID * 256);
let next = pool.length;

/** A new id. */
export function newEventId(): string {
  if (next === pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  const random = pool.subarray(next, (next += BYTES_PER_ID));
  return uuidv7({ random });
}
