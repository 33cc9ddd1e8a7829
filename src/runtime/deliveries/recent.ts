/** Remembers rows for a moment, so that a busy worker reads one when it changed and not once per attempt. */

export interface RememberOptions<K, V> {
  /** A change shows in answers later than this, ms. */
  ttlMs: number;
  read(key: K): Promise<V>;
  /**
   * For each key something that differs whenever its row does, in one read for all: what did not change is not read
   * again. A key that is missing has no row. Without this, every row is read again after `ttlMs`.
   */
  stamps?: ((keys: K[]) => Promise<Map<K, string>>) | undefined;
}

interface Entry<V> {
  until: number;
  stamp: string | null;
  value: Promise<V>;
  /** What the read gave, once it has been given to all who waited for it. */
  known: { value: V } | null;
  /** Asked for since the last look. */
  isUsed: boolean;
}

/**
 * A reader that answers from memory what was so less than `ttlMs` ago, without a promise where it can: thousands ask each
 * second. Concurrent readers share one read.
 */
export function remember<K, V>({ ttlMs, read, stamps }: RememberOptions<K, V>): (key: K) => Promise<V> | V {
  const entries = new Map<K, Entry<V>>();
  let looking: Promise<void> | null = null;

  const readAnew = (key: K, stamp: string | null): Promise<V> => {
    const value = read(key);
    const entry: Entry<V> = { until: Date.now() + ttlMs, stamp, value, known: null, isUsed: true };
    entries.set(key, entry);
    value.then(
      // In a later turn: nobody who asks is to be answered before those who asked while it was read.
      (known) => setImmediate(() => void (entry.known = { value: known })),
      () => entries.delete(key),
    );
    return value;
  };

  /** Looks at all that is remembered at once; what nobody asked for since the last look is forgotten (I10). */
  const look = async (stampsOf: NonNullable<typeof stamps>): Promise<void> => {
    const now = Date.now();
    for (const [key, entry] of entries) {
      if (entry.until <= now && !entry.isUsed) entries.delete(key);
      entry.isUsed = false;
    }
    const found = await stampsOf([...entries.keys()]);
    for (const [key, entry] of entries) {
      const stamp = found.get(key) ?? null;
      if (entry.stamp === stamp) entry.until = now + ttlMs;
      else await readAnew(key, stamp);
    }
  };

  const afterLook = async (key: K, stampsOf: NonNullable<typeof stamps>): Promise<V> => {
    looking ??= look(stampsOf).finally(() => {
      looking = null;
    });
    await looking;
    return entries.get(key)?.value ?? readAnew(key, null);
  };

  // No async function: who asks first would be answered after those who ask while it is read.
  return (key) => {
    const entry = entries.get(key);
    if (entry !== undefined) entry.isUsed = true;
    if (entry !== undefined && entry.until > Date.now())
      return entry.known === null ? entry.value : entry.known.value;
    if (entry !== undefined && stamps !== undefined) return afterLook(key, stamps);
    if (stamps === undefined) forgetOld(entries);
    // Without a stamp the next look reads it once more, and from then on only when it changed.
    return readAnew(key, null);
  };
}

function forgetOld(entries: Map<unknown, Entry<unknown>>): void {
  const now = Date.now();
  for (const [key, { until }] of entries) if (until <= now) entries.delete(key);
}
