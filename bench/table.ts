/** Shows measurements: a table for people, one JSON object a line for scripts. */
import type { Measurement } from "./measurement.ts";

const HEAD = ["benchmark", "result", "reference", "ratio", "bar", "", "held against"];

function amount(value: number): string {
  const digits = value >= 100 ? 0 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function cells({ name, value, unit, reference, ratio, bar, pass, against }: Measurement): string[] {
  return [
    name,
    `${amount(value)} ${unit}`,
    reference === null ? "-" : `${amount(reference)} ${unit}`,
    ratio === null ? "-" : ratio.toFixed(2),
    bar === null ? "-" : `>= ${bar.toFixed(2)}`,
    pass === null ? "reported" : pass ? "pass" : "MISSED",
    against,
  ];
}

/** A table in Markdown whose columns also line up on a terminal. */
export function renderTable(measurements: readonly Measurement[]): string {
  const rows = [HEAD, ...measurements.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(HEAD), line(rule), ...rows.slice(1).map(line)].join("\n");
}

/** One object: name, value, unit, reference, ratio, bar, pass. Numbers keep four digits after the point. */
export function renderJson({ name, value, unit, reference, ratio, bar, pass }: Measurement): string {
  const short = (number: number | null) => (number === null ? null : Math.round(number * 10_000) / 10_000);
  const numbers = { value: short(value), unit, reference: short(reference), ratio: short(ratio) };
  return JSON.stringify({ name, ...numbers, bar, pass });
}
