/** Waits for work that cannot be aborted, but no longer than somebody wants it. */

/**
 * What the work gives, unless the signal aborts first: then `onLate` gets what it gives too late. The work itself goes
 * on, so it has to be harmless.
 * @throws the signal's reason.
 */
export async function orAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  onLate: (value: T) => unknown = () => undefined,
): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    // What it complains of is nobody's affair any more.
    work.then(onLate).catch(() => undefined);
    reject(signal.reason as Error);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  return Promise.race([promise, work]).finally(() => signal.removeEventListener("abort", onAbort));
}
