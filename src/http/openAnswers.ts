/** Answers that take as long as their reader does: when the process closes, those that are left are cut off after a while. */
import type { HttpBindings } from "@hono/node-server";

/** What the server hands to a route beside the request. */
export interface NodeEnv {
  Bindings: HttpBindings;
}

/** An answer on its way. */
type Outgoing = Pick<HttpBindings["outgoing"], "destroy" | "destroyed" | "once">;

/** How long a reader has to come to the end once the process closes, ms. Source: ours. */
const LAST_CALL_MS = 5_000;

/** Those of a process. */
export class OpenAnswers {
  readonly #open = new Set<Outgoing>();
  readonly #lastCallMs: number;
  #isOver = false;

  constructor(lastCallMs = LAST_CALL_MS) {
    this.#lastCallMs = lastCallMs;
  }

  /** How many are under way. */
  get count(): number {
    return this.#open.size;
  }

  /** Until it is closed, by whomever. */
  add(outgoing: Outgoing): void {
    this.#open.add(outgoing);
    outgoing.once("close", () => this.#open.delete(outgoing));
    if (this.#isOver) outgoing.destroy();
  }

  /** Gives the last call, and does not wait for it. */
  close(): Promise<void> {
    setTimeout(() => {
      this.#isOver = true;
      for (const outgoing of this.#open) outgoing.destroy();
    }, this.#lastCallMs).unref();
    return Promise.resolve();
  }
}
