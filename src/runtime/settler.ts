/** Writes the outcomes of batches in groups: whatever ends while all writers are busy forms the next. */
import { type Settlement, settleBatches } from "../engine/settle.ts";
import type { LogConnection } from "../log/connection.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { publishSettled } from "./hints.ts";

interface Waiting {
  settlement: Settlement;
  resolve(): void;
  reject(error: unknown): void;
}

/** Batches in one transaction at most. */
const MAX_GROUP = 64;
/** Transactions at once: with large batches a destination that takes few requests would else wait for one after each. */
const WRITERS = 3;
/** Beside a transaction younger than this none begins: small batches are better written together, ms. */
const YOUNG_MS = 10;

/** Settles batches and tells the workers of their runs. */
export class Settler {
  readonly #database: OpenDatabase;
  readonly #connection: LogConnection;
  readonly #options: { keepsRows?: boolean };
  #waiting: Waiting[] = [];
  #writers = 0;
  #beganMs = 0;

  constructor(
    database: OpenDatabase,
    connection: LogConnection,
    options: { keepsRows?: boolean | undefined } = {},
  ) {
    this.#database = database;
    this.#connection = connection;
    this.#options = { keepsRows: options.keepsRows === true };
  }

  /** Resolves when the outcome stands in Postgres. */
  settle(settlement: Settlement): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ settlement, resolve, reject });
      const isYoung = performance.now() - this.#beganMs < YOUNG_MS;
      if (this.#writers === 0 || (this.#writers < WRITERS && !isYoung)) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writers += 1;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MAX_GROUP);
      this.#beganMs = performance.now();
      const settlements = group.map(({ settlement }) => settlement);
      try {
        await settleBatches(this.#database, settlements, this.#options);
        for (const { resolve } of group) resolve();
        for (const runId of new Set(settlements.map((each) => each.runId))) {
          const ofRun = settlements.filter((each) => each.runId === runId);
          publishSettled(
            this.#connection,
            runId,
            ofRun.map(({ batchNo }) => batchNo),
          );
        }
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writers -= 1;
  }
}
