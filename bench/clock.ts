/** A clock that all processes of one machine share, finer than a millisecond. */

/** Milliseconds since an unknown moment, the same one for every process: the kernel's monotonic clock. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
