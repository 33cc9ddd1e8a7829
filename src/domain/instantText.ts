/** Dates and timestamps as texts: read from what a source writes, written as a record shows them. */
import type { SyncOptions } from "./syncOptions.ts";

/** How timestamps are written in a record: behaviour.md 5.4, or ISO 8601. */
export type TimestampFormat = SyncOptions["timestamp_format"];

/** An instant in UTC; the fraction is kept as text, so that no digit of it is lost. */
export interface Instant {
  /** YYYY-MM-DD. */
  date: string;
  /** HH:MM:SS. */
  time: string;
  /** Digits after the second with their dot, or nothing. */
  fraction: string;
}

const FORM =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?(?: ?(?:(Z|UTC)|([+-])(\d{2}):?(\d{2})?))?)?$/;

const MINUTE_MS = 60_000;

/**
 * Reads a date, or a timestamp with or without a zone, as an instant; a missing time is midnight, a missing zone UTC.
 * Null for anything else: no such day, BC, infinity, years beyond 9999.
 */
export function readInstant(text: string): Instant | null {
  const found = FORM.exec(text.trim());
  if (found === null) return null;
  const [, date = "", minutes = "00:00", seconds = "00", fraction = "", , sign, hours, rest = "00"] = found;
  const local = `${date}T${minutes}:${seconds}`;
  const atMs = Date.parse(`${local}Z`);
  // JavaScript moves 30 February to March.
  if (Number.isNaN(atMs) || new Date(atMs).toISOString().slice(0, 19) !== local) return null;
  if (sign === undefined) return { date, time: `${minutes}:${seconds}`, fraction };
  if (Number(hours) > 15 || Number(rest) > 59) return null;
  const offsetMs = (Number(hours) * 60 + Number(rest)) * MINUTE_MS;
  const utc = new Date(sign === "+" ? atMs - offsetMs : atMs + offsetMs).toISOString();
  return utc.length > 24 ? null : { date: utc.slice(0, 10), time: utc.slice(11, 19), fraction };
}

/** An instant as a record shows it. */
export function instantText({ date, time, fraction }: Instant, format: TimestampFormat): string {
  return format === "iso8601" ? `${date}T${time}${fraction}Z` : `${date} ${time}${fraction} UTC`;
}

/** The whole second of a clock reading as an instant. */
export function instantOf(at: Date): Instant {
  const text = at.toISOString();
  return { date: text.slice(0, 10), time: text.slice(11, 19), fraction: "" };
}
