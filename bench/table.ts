/** Shows measurements: a table for people, one JSON object a line for scripts. */
import type { Measurement } from "./measurement.ts";

const HEAD = ["benchmark", "result", "reference", "ratio", "bar", "", "held against"];
/** A ratio above this says no more than that the bar is far away. */
const MOST_SHOWN = 99;

function amount(value: number): string {
  const digits = value >= 100 ? 0 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function cells({ name, value, unit, reference, ratio, bar, pass, against }: Measurement): string[] {
  return [
    name,
    `${amount(value)} ${unit}`,
    reference === null ? "-" : `${amount(reference)} ${unit}`,
    ratio === null ? "-" : ratio > MOST_SHOWN ? `> ${MOST_SHOWN}` : ratio.toFixed(2),
    bar === null ? "-" : `>= ${bar.toFixed(2)}`,
    pass === null ? "reported" : pass ? "pass" : "MISSED",
    against,
  ];
}

/** A table in Markdown whose columns also line up on a terminal. */
export function markdownTable(head: readonly string[], body: readonly string[][]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...body.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [head, rule, ...body].map(line).join("\n");
}

/** The table of all measurements. */
export function renderTable(measurements: readonly Measurement[]): string {
  return markdownTable(HEAD, measurements.map(cells));
}

/** One object: name, value, unit, reference, ratio, bar, pass. Numbers keep four digits after the point. */
export function renderJson({ name, value, unit, reference, ratio, bar, pass }: Measurement): string {
  const short = (number: number | null) => (number === null ? null : Math.round(number * 10_000) / 10_000);
  const numbers = { value: short(value), unit, reference: short(reference), ratio: short(ratio) };
  return JSON.stringify({ name, ...numbers, bar, pass });
}
