/** Numbers, durations and instants as people read them. */

const COUNT = new Intl.NumberFormat("en-US");

/** `3,376`; a dash for what is not known. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "-" : COUNT.format(Math.round(value));
}

/** `1 row`, `3,376 rows`. */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/** `12 ms`, `4.01 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** The time of day of an instant, UTC: `14:03:59.120Z`. */
export function clock(instant: string | Date): string {
  return iso(instant).slice(11);
}

/** Day and second of an instant, UTC: `2026-02-03 14:03:59Z`. */
export function dayAndTime(instant: string | Date): string {
  return `${iso(instant).slice(0, 19).replace("T", " ")}Z`;
}

function iso(instant: string | Date): string {
  return typeof instant === "string" ? instant : instant.toISOString();
}

/** `1.5 MiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1_024 ** power;
  return `${power === 0 || Number.isInteger(scaled) ? scaled : scaled.toFixed(1)} ${units[power]}`;
}
