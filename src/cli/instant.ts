/** Instants and spans of time as people type them. */
import { InvalidArgumentError } from "commander";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SPAN = /^(\d{1,6})([smhd])$/;
const MAX_SPAN_MS = 3_660 * 86_400_000;

/** A span such as `90s`, `30m`, `24h` or `7d`, in milliseconds; `0` is none. */
export function timeSpan(text: string): number {
  if (text === "0") return 0;
  const [, amount, unit] = SPAN.exec(text) ?? [];
  const ms = Number(amount) * (UNITS_MS[unit ?? ""] ?? Number.NaN);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("Give a time such as 90s, 30m, 24h or 7d.");
  if (ms > MAX_SPAN_MS) throw new InvalidArgumentError("That is more than ten years.");
  return ms;
}

/** An instant: ISO 8601, or how long ago, such as `2h`. A date alone is its beginning, UTC. */
export function instant(text: string): Date {
  if (SPAN.test(text)) return new Date(Date.now() - timeSpan(text));
  // Anything looser is read differently by different machines.
  const isIso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const at = isIso ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(at.getTime())) {
    throw new InvalidArgumentError(
      "Give an instant such as 2026-02-03T14:00:00Z or 2026-02-03, or how long ago, such as 2h.",
    );
  }
  return at;
}
