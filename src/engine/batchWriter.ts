/** Writes planned batches into egret.batches by COPY, about two megabytes at a time. */
import { finished } from "node:stream/promises";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import type { PlannedBatch } from "./batchCutter.ts";
import {
  arrayField,
  COPY_HEADER,
  COPY_TRAILER,
  copyRow,
  INT8_OID,
  int4Field,
  int8Field,
  TEXT_OID,
} from "./copyBinary.ts";

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
  #rows: Buffer[] = [];
  #bytes = 0;

  constructor(client: pg.PoolClient, owner: BatchOwner) {
    this.#client = client;
    this.#owner = [int8Field(owner.runId), int8Field(owner.syncId), int8Field(owner.destinationId)];
  }

  /** Takes one batch; nothing is written yet. */
  add(batch: PlannedBatch): void {
    const [runId, syncId, destinationId] = this.#owner;
    const row = copyRow([
      runId,
      int4Field(batch.batchNo),
      syncId,
      destinationId,
      Buffer.from(batch.operation, "latin1"),
      int4Field(batch.keys.length),
      batch.body,
      Buffer.from(batch.bodySha256, "latin1"),
      arrayField(TEXT_OID, batch.keys),
      batch.hashes && arrayField(INT8_OID, batch.hashes),
      batch.records && arrayField(TEXT_OID, batch.records),
      typeof batch.request === "string" ? Buffer.from(batch.request) : null,
      batch.sourceRecords ?? null,
    ]);
    this.#bytes += row.length;
    this.#rows.push(row);
  }

  /** Writes what was gathered once it is worth a COPY. */
  async flushIfFull(): Promise<void> {
    if (this.#bytes >= FLUSH_BYTES) await this.flush();
  }

  /** Writes what was gathered. */
  async flush(): Promise<void> {
    if (this.#rows.length === 0) return;
    const bytes = Buffer.concat([COPY_HEADER, ...this.#rows, COPY_TRAILER]);
    this.#rows = [];
    this.#bytes = 0;
    const stream = this.#client.query(copyStreams.from(COPY));
    const done = finished(stream);
    stream.end(bytes);
    await done;
  }
}
