/** What a check of `egret doctor` found. */
import { describeFailure } from "./failures.ts";

/** What one check found; `fix` says what to do. */
export interface Finding {
  name: string;
  state: "ok" | "warning" | "problem";
  message: string;
  fix: string | null;
}

/** A finding without anything to do. */
export function ok(name: string, message: string): Finding {
  return { name, state: "ok", message, fix: null };
}

/** A failed check in the words of its error. */
export function problem(name: string, error: unknown, fix: string | null): Finding {
  return { name, state: "problem", message: describeFailure(error).lines.slice(0, 3).join(" "), fix };
}
