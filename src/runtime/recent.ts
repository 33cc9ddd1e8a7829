/** Remembers what was read for a moment, so that a busy worker does not read one row per attempt. */

/** A reader that answers from memory what it read less than `ttlMs` ago; concurrent readers share one read. */
export function remember<K, V>(ttlMs: number, read: (key: K) => Promise<V>): (key: K) => Promise<V> {
  const entries = new Map<K, { until: number; value: Promise<V> }>();
  return (key) => {
    const now = Date.now();
    const entry = entries.get(key);
    if (entry !== undefined && entry.until > now) return entry.value;
    // Memory stays bounded by the number of targets in use within one period (I10).
    for (const [other, { until }] of entries) if (until <= now) entries.delete(other);
    const value = read(key);
    entries.set(key, { until: now + ttlMs, value });
    value.catch(() => entries.delete(key));
    return value;
  };
}
