/** Lets a reader of the read models see all that stood in the log when it asked, whoever wrote it. */
import type { Kysely } from "kysely";
import type { EventLog } from "../log/eventLog.ts";
import { waitForSequence } from "../projections/checkpoint.ts";
import type { Database } from "../projections/database.ts";
import { Together } from "./together.ts";

/** A projector that is behind is waited for so long, ms; then what is there has to do. */
const PATIENCE_MS = 2_000;
/** After such a wait nobody else waits, for so long, ms. */
const GIVEN_UP_MS = 5_000;

/** Of one process; readers at the same time look and wait together. */
export class ReadBarrier {
  readonly #looks: Together<null, null>;
  #givenUpUntilMs = 0;

  constructor({ db, log }: { db: Kysely<Database>; log: Pick<EventLog, "info"> }) {
    this.#looks = new Together(async (asks) => {
      const { lastSequence } = await log.info("runs");
      const timeoutMs = performance.now() < this.#givenUpUntilMs ? 0 : PATIENCE_MS;
      const isThere = await waitForSequence(db, { stream: "runs", sequence: lastSequence, timeoutMs });
      if (!isThere && timeoutMs > 0) this.#givenUpUntilMs = performance.now() + GIVEN_UP_MS;
      return asks.map(() => null);
    });
  }

  /** Resolves once the read models of runs, syncs and alerts are as new as the log is now, or a while has passed. */
  async passed(): Promise<void> {
    await this.#looks.ask(null);
  }
}
