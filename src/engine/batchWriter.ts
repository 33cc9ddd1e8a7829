/** Writes planned batches into egret.batches by COPY, about a megabyte at a time, while the next ones are cut. */
import { finished } from "node:stream/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import type { PlannedBatch } from "./batchCutter.ts";
import { appendRow, COPY_HEADER, COPY_TRAILER, int4Field, int8Field } from "./copyBinary.ts";
import { GrowingBytes } from "./growingBytes.ts";

/** So much is written while nothing else is. */
const FLUSH_BYTES = 1 << 18;
/** And no more than this gathers meanwhile. */
const MOST_BYTES = 1 << 20;

/** Whose batches they are. */
export interface BatchOwner {
  runId: number;
  syncId: number;
  destinationId: number;
}

const COPY = `COPY egret.batches
    (run_id, batch_no, sync_id, destination_id, operation, records, body, body_sha256, keys, hashes, row_records,
     request, source_records)
  FROM STDIN (FORMAT binary)`;

/** Gathers encoded rows; other statements of the connection wait for the write that is under way, and that for nothing else. */
export class BatchWriter {
  readonly #client: pg.PoolClient;
  readonly #owner: [Buffer, Buffer, Buffer];
  #bytes = new GrowingBytes();
  /** What is being written, or was. */
  #written = new GrowingBytes();
  #writing: Promise<void> | null = null;

  constructor(client: pg.PoolClient, owner: BatchOwner) {
    this.#client = client;
    this.#owner = [int8Field(owner.runId), int8Field(owner.syncId), int8Field(owner.destinationId)];
    for (const bytes of [this.#bytes, this.#written]) bytes.append(COPY_HEADER);
  }

  /** Takes one batch, and copies it; nothing is written yet. */
  add(batch: PlannedBatch): void {
    const [runId, syncId, destinationId] = this.#owner;
    appendRow(this.#bytes, [
      runId,
      int4Field(batch.batchNo),
      syncId,
      destinationId,
      Buffer.from(batch.operation, "latin1"),
      int4Field(batch.rows),
      batch.body,
      Buffer.from(batch.bodySha256, "latin1"),
      batch.keys,
      batch.hashes,
      batch.records,
      typeof batch.request === "string" ? Buffer.from(batch.request) : null,
      batch.sourceRecords ?? null,
    ]);
  }

  /** Begins to write what was gathered once it is worth a COPY. @throws what the write before failed with. */
  async flushIfFull(): Promise<void> {
    if (this.#bytes.length < FLUSH_BYTES) return;
    if (this.#writing === null || this.#bytes.length >= MOST_BYTES) await this.#begin();
  }

  /** Writes what was gathered. After a failure the writer is not used again: its bytes may still be on their way. */
  async flush(): Promise<void> {
    if (this.#bytes.length > COPY_HEADER.length) await this.#begin();
    await this.#writing;
  }

  async #begin(): Promise<void> {
    await this.#writing;
    [this.#bytes, this.#written] = [this.#written, this.#bytes];
    this.#bytes.cutTo(COPY_HEADER.length);
    this.#written.append(COPY_TRAILER);
    const stream = this.#client.query(copyStreams.from(COPY));
    const writing = finished(stream);
    stream.end(this.#written.view());
    this.#writing = writing;
    // A failure is told to whoever waits next.
    writing.then(
      () => {
        if (this.#writing === writing) this.#writing = null;
      },
      () => undefined,
    );
  }
}
