/** The state of the pipe by hand: accepted rows in statements as large as what came while the last one ran. */

import type { Client } from "pg";
import { toError } from "../src/domain/errors.ts";

interface Accepted {
  key: string;
  hash: bigint;
}

/** Writes on one connection, beside the sending; whoever sends does not wait for it but at the end. */
export class StateWriter {
  readonly #client: Client;
  #waiting: Accepted[] = [];
  #writing: Promise<void> | null = null;
  #failure: Error | null = null;

  constructor(client: Client) {
    this.#client = client;
  }

  /** The destination took these rows. */
  add(rows: readonly Accepted[]): void {
    this.#waiting.push(...rows);
    this.#writing ??= this.#write();
  }

  /** Resolves when all of them are written. @throws what a statement failed with. */
  async end(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#failure !== null) throw this.#failure;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const rows = this.#waiting;
      this.#waiting = [];
      try {
        await this.#client.query({
          name: "accepted",
          text: `INSERT INTO state SELECT * FROM unnest($1::text[], $2::bigint[])
                 ON CONFLICT (key) DO UPDATE SET hash = excluded.hash`,
          values: [rows.map(({ key }) => key), rows.map(({ hash }) => hash)],
        });
      } catch (error) {
        this.#failure ??= toError(error);
      }
    }
    this.#writing = null;
  }
}
