/** Shows a run while it goes on: its events as lines, its progress as a bar below them. */
import type { AnyEvent } from "../domain/event.ts";
import type { RunProgress } from "../runtime/hints.ts";
import { eventDetails, eventTitle } from "./eventLine.ts";
import { duration } from "./format.ts";
import { progressLine, type RunView } from "./progressBar.ts";
import { isTerminal, paint, type StatusLine } from "./terminal.ts";

const PHASES: Readonly<Record<string, string>> = {
  "sync.triggered": "queued",
  "sync.started": "checking",
  "sync.checked": "snapshotting",
  "sync.snapshotted": "diffing",
  "sync.planned": "loading",
  "sync.loaded": "committing",
  "sync.cancel_requested": "canceling",
  "trial.requested": "queued",
  "trial.started": "working",
};

/** How far a run is, whoever tells it. */
type Progress = Omit<RunProgress, "workspace_id" | "sync_id" | "sync_run_id">;

/** Takes what is heard of one run and keeps a terminal up to date. */
export class RunScreen {
  readonly #status: StatusLine;
  #view: RunView = {
    phase: "queued",
    rowsRead: null,
    planned: null,
    sent: 0,
    rejected: 0,
    perSecond: null,
    timeLeftMs: null,
  };
  #firstEventMs: number | null = null;
  #step: string | null = null;

  constructor(status: StatusLine) {
    this.#status = status;
  }

  onEvent(event: AnyEvent): void {
    const atMs = Date.parse(event.time);
    this.#firstEventMs ??= atMs;
    const since = paint("dim", `+${duration(atMs - this.#firstEventMs)}`.padStart(9));
    this.#status.print(`  ${since}  ${eventTitle(event, 16)} ${eventDetails(event)}`);
    if (event.type === "sync.snapshotted") this.#view.rowsRead = event.data.source_record_count;
    if (event.type === "sync.planned") {
      this.#view.planned = event.data.source_record_updates + event.data.source_record_deletes;
    }
    if (event.type === "sync.loaded") this.#view.sent = event.data.records_updated;
    const phase = PHASES[event.type];
    if (phase === undefined) {
      this.#status.clear();
      return;
    }
    this.#enter(phase);
    // Where lines stay, the event itself has just said as much.
    if (isTerminal()) this.#draw();
  }

  /** What asking again and again tells: each step once as a line, the progress below. */
  onPolled({ step, sinceMs, progress }: { step: string; sinceMs: number; progress: Progress | null }): void {
    if (step !== this.#step) {
      this.#step = step;
      this.#status.print(`  ${paint("dim", `+${duration(sinceMs)}`.padStart(9))}  ${step}`);
    }
    if (progress === null) return;
    if (progress.phase !== this.#view.phase) this.#enter(progress.phase);
    this.onProgress(progress);
  }

  /** Takes the progress away. */
  onEnd(): void {
    this.#status.clear();
  }

  onProgress(progress: Progress): void {
    // A message of an earlier phase can arrive after the event that ended it.
    if (progress.phase !== this.#view.phase) return;
    this.#view.rowsRead = progress.rows_read;
    this.#view.planned = progress.records_planned ?? this.#view.planned;
    this.#view.sent = progress.records_sent ?? this.#view.sent;
    this.#view.rejected = progress.records_failed ?? this.#view.rejected;
    this.#view.perSecond = progress.rate_per_second;
    this.#view.timeLeftMs = progress.time_left_ms;
    this.#draw();
  }

  #enter(phase: string): void {
    this.#view = { ...this.#view, phase, perSecond: null, timeLeftMs: null };
  }

  #draw(): void {
    this.#status.update(progressLine(this.#view));
  }
}
