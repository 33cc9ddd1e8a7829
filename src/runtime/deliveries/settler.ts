/** Writes the outcomes of batches in groups: whatever ends while all writers are busy forms the next. */
import { setTimeout as delay } from "node:timers/promises";
import { type Settlement, settleBatches } from "../../engine/settle.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { publishSettled } from "../hints.ts";

/** A batch's outcome, and how many rows it has. */
export type SizedSettlement = Settlement & { records: number };

interface Waiting {
  settlement: SizedSettlement;
  resolve(): void;
  reject(error: unknown): void;
}

/** Batches in one transaction at most. */
const MAX_GROUP = 64;
/** Transactions at once: with large batches a destination that takes few requests would else wait for one after each. */
const WRITERS = 3;
/** Rows that have to wait before a transaction begins beside another: small batches are better written together. */
const WORTH_ROWS = 2_000;
/** Beside a transaction younger than this none begins, ms. */
const YOUNG_MS = 10;
/** Small outcomes that came while others were written gather for so long: a transaction costs as much for one as for twenty, ms. */
const GATHER_MS = 8;

/** Settles batches and tells the workers of their runs. */
export class Settler {
  readonly #database: OpenDatabase;
  readonly #connection: LogConnection;
  readonly #options: { keepsRows?: boolean };
  #waiting: Waiting[] = [];
  #waitingRows = 0;
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
  settle(settlement: SizedSettlement): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ settlement, resolve, reject });
      this.#waitingRows += settlement.records;
      if (this.#writers === 0 || (this.#writers < WRITERS && this.#isWorthAnother())) void this.#write();
    });
  }

  #isWorthAnother(): boolean {
    if (this.#waiting.length < MAX_GROUP && this.#waitingRows < WORTH_ROWS) return false;
    return performance.now() - this.#beganMs >= YOUNG_MS;
  }

  #isFew(): boolean {
    return this.#waiting.length < MAX_GROUP / 2 && this.#waitingRows < WORTH_ROWS / 2;
  }

  async #write(): Promise<void> {
    this.#writers += 1;
    for (let isFirst = true; this.#waiting.length > 0; isFirst = false) {
      if (!isFirst && this.#isFew()) await delay(GATHER_MS);
      const group = this.#waiting.splice(0, MAX_GROUP);
      // Another writer took them meanwhile.
      if (group.length === 0) break;
      this.#beganMs = performance.now();
      const settlements = group.map(({ settlement }) => settlement);
      for (const { records } of settlements) this.#waitingRows -= records;
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
