/** When a failed attempt is tried again: the schedules of lifecycle webhooks and of destinations, as data. */

/** Waits before retries 1-5 of a lifecycle webhook, ms. Source: seed; behaviour.md 6.7. */
export const WEBHOOK_RETRY_DELAYS_MS = [4_000, 8_000, 16_000, 32_000, 64_000] as const;

/** A lifecycle webhook has this long to answer, ms. Source: seed; behaviour.md 6.6. */
export const WEBHOOK_TIMEOUT_MS = 10_000;

/** Waits before retries 1-7 of a batch, ms, before jitter. Source: ours; behaviour.md 12.2. */
export const DESTINATION_RETRY_DELAYS_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000] as const;

/** A destination that asks for a longer wait than this gets the batch rejected, ms. Source: ours; 12.2. */
export const MAX_RETRY_AFTER_MS = 15 * 60_000;

/**
 * The wait before the next attempt at a destination, ms: the schedule's with ±20 % jitter, or what the
 * destination asked for when that is longer. `random` is in [0, 1).
 */
export function destinationDelayMs(
  failedAttempts: number,
  retryAfterMs: number | null,
  random: number,
): number {
  const index = Math.min(failedAttempts, DESTINATION_RETRY_DELAYS_MS.length) - 1;
  const base = DESTINATION_RETRY_DELAYS_MS[index] ?? 0;
  return Math.max(Math.round(base * (0.8 + 0.4 * random)), retryAfterMs ?? 0);
}

/** Retry-After as milliseconds from `now`: whole seconds or an HTTP date; null when absent or unreadable. */
export function parseRetryAfter(value: string | null, now: Date): number | null {
  if (value === null) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime());
}
