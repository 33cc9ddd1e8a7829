/** A delivery and its attempts in words, for every command that shows them. */
import type { ShownAttempt, ShownDelivery } from "./desks.ts";
import { clock, duration } from "./format.ts";
import { paint } from "./terminal.ts";

/** One attempt on one line. */
export function attemptLine({ attempt, started_at, duration_ms, http_status, error }: ShownAttempt): string {
  const verdict = error === null ? paint("green", `HTTP ${http_status} accepted`) : paint("red", error);
  return `${paint("dim", clock(started_at))} attempt ${attempt}  ${verdict}  ${paint("dim", duration(duration_ms))}`;
}

/** The state of a delivery in its colour, with why or until when. */
export function paintState({
  state,
  death_reason,
  next_attempt_at,
}: Pick<ShownDelivery, "state" | "death_reason" | "next_attempt_at">): string {
  switch (state) {
    case "delivered":
      return paint("green", state);
    case "dead":
      return paint("red", `dead: ${death_reason}`);
    case "retrying":
      return paint("yellow", `retrying${next_attempt_at === null ? "" : `, due ${clock(next_attempt_at)}`}`);
    case "pending":
      return paint("cyan", state);
  }
}
