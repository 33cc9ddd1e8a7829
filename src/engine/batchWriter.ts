/** Writes planned batches into egret.batches by COPY, about two megabytes at a time. */
import { finished } from "node:stream/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import type { PlannedBatch } from "./batchCutter.ts";
import { appendRow, COPY_HEADER, COPY_TRAILER, int4Field, int8Field } from "./copyBinary.ts";
import { GrowingBytes } from "./growingBytes.ts";

const FLUSH_BYTES = 2 << 20;

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

/** Gathers encoded rows; between flushes the connection is free for other statements. */
export class BatchWriter {
  readonly #client: pg.PoolClient;
  readonly #owner: [Buffer, Buffer, Buffer];
  readonly #bytes = new GrowingBytes();

  constructor(client: pg.PoolClient, owner: BatchOwner) {
    this.#client = client;
    this.#owner = [int8Field(owner.runId), int8Field(owner.syncId), int8Field(owner.destinationId)];
    this.#bytes.append(COPY_HEADER);
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

  /** Writes what was gathered once it is worth a COPY. */
  async flushIfFull(): Promise<void> {
    if (this.#bytes.length >= FLUSH_BYTES) await this.flush();
  }

  /** Writes what was gathered. After a failure the writer is not used again: its bytes may still be on their way. */
  async flush(): Promise<void> {
    if (this.#bytes.length === COPY_HEADER.length) return;
    this.#bytes.append(COPY_TRAILER);
    const stream = this.#client.query(copyStreams.from(COPY));
    const done = finished(stream);
    stream.end(this.#bytes.view());
    await done;
    this.#bytes.cutTo(COPY_HEADER.length);
  }
}
