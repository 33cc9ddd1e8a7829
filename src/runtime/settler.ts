/** Writes the outcomes of batches in groups: whatever ends while one group is being written forms the next. */
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

/** Settles batches and tells the workers of their runs. */
export class Settler {
  readonly #database: OpenDatabase;
  readonly #connection: LogConnection;
  readonly #options: { keepsRows?: boolean };
  #waiting: Waiting[] = [];
  #isWriting = false;

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
      if (!this.#isWriting) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MAX_GROUP);
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
    this.#isWriting = false;
  }
}
