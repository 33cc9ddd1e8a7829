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
  /** Rows of this phase per second; null while nobody knows. */
  perSecond: number | null;
  timeLeftMs: number | null;
}

const BAR_LETTERS = 24;

/** `loading       ████░░░░  62 %  2,093 of 3,376 rows  1,240 rows/s  1.03 s left`. */
export function progressLine(view: RunView): string {
  const title = paint("cyan", view.phase.padEnd(12));
  const parts =
    view.phase === "loading" && view.planned !== null ? loadingParts(view, view.planned) : readParts(view);
  return [title, ...parts, rate(view.perSecond)].filter((part) => part !== "").join("  ") + timeLeft(view);
}

function loadingParts({ sent, rejected }: RunView, planned: number): string[] {
  const done = sent + rejected;
  const share = planned === 0 ? 1 : Math.min(1, done / planned);
  return [
    `${bar(share)}${String(Math.floor(share * 100)).padStart(4)} %`,
    `${count(done)} of ${counted(planned, "row")}`,
    rejected > 0 ? paint("red", `${count(rejected)} rejected`) : "",
  ];
}

function readParts({ rowsRead, planned }: RunView): string[] {
  const read = rowsRead === null ? "" : `${counted(rowsRead, "row")} read`;
  return [read, planned === null ? "" : `${count(planned)} changed`];
}

function bar(share: number): string {
  if (!isTerminal()) return "";
  const full = Math.round(share * BAR_LETTERS);
  return paint("green", "█".repeat(full)) + paint("dim", "░".repeat(BAR_LETTERS - full));
}

function rate(perSecond: number | null): string {
  return perSecond === null || perSecond <= 0 ? "" : `${count(perSecond)} rows/s`;
}

function timeLeft({ timeLeftMs }: RunView): string {
  return timeLeftMs === null || timeLeftMs <= 0 ? "" : `  ${duration(timeLeftMs)} left`;
}
