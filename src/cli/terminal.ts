/** Where commands write: results to standard output, what went wrong to standard error, colours only on a terminal. */
import { styleText } from "node:util";

/** Colours and weights that commands use. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** The text in a style, or as it stands where output is no terminal or NO_COLOR is set. */
export function paint(style: Style | readonly Style[], text: string): string {
  return styleText(style as Style, text, { stream: process.stdout });
}

/** True when a person watches standard output. */
export function isTerminal(): boolean {
  return process.stdout.isTTY;
}

/** Writes one line of result. */
export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one JSON value on a line of its own. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Writes one line beside the result: what went wrong, or what to do. */
export function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Rows under headings, columns as wide as their widest cell; the last column is left as it is. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: ReadonlySet<number> = new Set(),
): string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => plainLength(row[column] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const gap = " ".repeat(Math.max(0, (widths[column] ?? 0) - plainLength(cell)));
        return rightAligned.has(column) ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return [paint("bold", line(headings)), ...rows.map(line)];
}

function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- colour codes begin with the escape character
  return text.replace(/\u001B\[\d+m/g, "");
}

function plainLength(text: string): number {
  return plain(text).length;
}

/** The text on one line: one that wraps could not be rewritten in place. A cut one loses its colours. */
function fitting(text: string, columns: number): string {
  return plainLength(text) < columns ? text : plain(text).slice(0, Math.max(0, columns - 1));
}

/** A line at the bottom of a terminal that is rewritten in place, with other lines scrolling above it. */
export class StatusLine {
  #text = "";
  #shownAtMs = 0;

  /** Shows another status; where output is no terminal, at most one line every two seconds. */
  update(text: string): void {
    if (isTerminal()) {
      this.#text = fitting(text, process.stdout.columns);
      process.stdout.write(`\r\u001B[2K${this.#text}`);
      return;
    }
    if (text === this.#text || Date.now() - this.#shownAtMs < PLAIN_EVERY_MS) return;
    this.#text = text;
    this.#shownAtMs = Date.now();
    print(text);
  }

  /** Prints a line that stays, above the status. */
  print(line: string): void {
    if (!isTerminal() || this.#text === "") print(line);
    else process.stdout.write(`\r\u001B[2K${line}\n${this.#text}`);
  }

  /** Takes the status away. */
  clear(): void {
    if (isTerminal() && this.#text !== "") process.stdout.write("\r\u001B[2K");
    this.#text = "";
    this.#shownAtMs = 0;
  }
}

const PLAIN_EVERY_MS = 2_000;
