/** Runs a task many times with a fixed number under way, and says how long all of them took. */

/** Milliseconds until the last of `count` tasks has ended, `inFlight` of them under way at once. */
export async function pipelined(
  { count, inFlight }: { count: number; inFlight: number },
  task: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const lane = async () => {
    while (next < count) await task(next++);
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - started;
}
