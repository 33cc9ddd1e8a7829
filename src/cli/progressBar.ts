/** How far a run is, as one line of text. */
import { count, counted, duration } from "./format.ts";
import { isTerminal, paint } from "./terminal.ts";

/** What is known of a run in work. */
export interface RunView {
  phase: string;
  rowsRead: number | null;
  planned: number | null;
  sent: number;
  rejected: number;
  /** How long this phase has gone on, ms. */
  phaseMs: number;
}

const BAR_LETTERS = 24;

/** `loading       ████░░░░  62 %  2,093 of 3,376 rows  1,240 rows/s  1.03 s left`. */
export function progressLine(view: RunView): string {
  const title = paint("cyan", view.phase.padEnd(12));
  if (view.phase !== "loading" || view.planned === null) {
    const rows = view.rowsRead === null ? "" : `${counted(view.rowsRead, "row")} read`;
    return [title, rows, rate(view.rowsRead ?? 0, view.phaseMs)].filter((part) => part !== "").join("  ");
  }
  const done = view.sent + view.rejected;
  const share = view.planned === 0 ? 1 : Math.min(1, done / view.planned);
  const perMs = view.phaseMs > 0 ? done / view.phaseMs : 0;
  const left = perMs > 0 && share < 1 ? `${duration((view.planned - done) / perMs)} left` : "";
  const parts = [
    `${title} ${bar(share)}${String(Math.floor(share * 100)).padStart(4)} %`,
    `${count(done)} of ${counted(view.planned, "row")}`,
    view.rejected > 0 ? paint("red", `${count(view.rejected)} rejected`) : "",
    rate(done, view.phaseMs),
    left,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function bar(share: number): string {
  if (!isTerminal()) return "";
  const full = Math.round(share * BAR_LETTERS);
  return paint("green", "█".repeat(full)) + paint("dim", "░".repeat(BAR_LETTERS - full));
}

function rate(rows: number, ms: number): string {
  return rows > 0 && ms >= 100 ? `${count((rows / ms) * 1_000)} rows/s` : "";
}
