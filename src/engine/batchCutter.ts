/** Cuts rows into batches: the exact bytes of each request body, with the keys and hashes that its acceptance makes true. */
import { createHash } from "node:crypto";
import type { Sync } from "../domain/configuration.ts";

/** A body is cut before it grows beyond this. Source: ours; behaviour.md 5.7. */
export const MAX_BODY_BYTES = 1_048_576;

/** One row to send: key in UTF-8, hash as eight bytes big-endian, record as JSON in UTF-8. */
export interface PlannedRow {
  key: Buffer;
  hash: Buffer;
  record: Buffer;
}

/** One request to come. */
export interface PlannedBatch {
  batchNo: number;
  body: Buffer;
  /** Hex. */
  bodySha256: string;
  keys: Buffer[];
  hashes: Buffer[];
}

const COMMA = Buffer.from(",");

/** What stands before the first record of a body and after its last. */
export interface BodyFrame {
  opening: Buffer;
  closing: Buffer;
}

/**
 * The frame of each body of a run: with metadata or bare (behaviour.md 5.5), a list of records or a single one.
 * Field order and names from the seed, behaviour.md 5.4.
 */
export function bodyFrame(sync: Sync, runAt: Date): BodyFrame {
  const { wrap_data: isWrapped, use_bulk_upload: isList } = sync.destination.settings;
  const head = isWrapped ? `${JSON.stringify(metadata(sync, runAt)).slice(0, -1)},"data":` : "";
  return {
    opening: Buffer.from(`${head}${isList ? "[" : ""}`),
    closing: Buffer.from(`${isList ? "]" : ""}${isWrapped ? "}" : ""}`),
  };
}

function metadata({ object, destination, id, label }: Sync, runAt: Date): object {
  return {
    api_version: 1,
    operation: "changed",
    sync_run_at: runAt.toISOString().replace(/\.\d+Z$/, "Z"),
    connection_name: destination.name,
    model_name: object.type === "model" ? object.name : null,
    schema_name: object.type === "table" ? object.schema : null,
    table_name: object.type === "table" ? object.table : null,
    sync_configuration_id: id,
    sync_configuration_name: label,
  };
}

/** Records of one request: the batch size, or one where bulk upload is off. */
export function recordsPerRequest({ destination }: Sync): number {
  return destination.settings.use_bulk_upload ? destination.settings.batch_size : 1;
}

/** Gathers rows in their order and hands each full batch to `onBatch`. */
export class BatchCutter {
  readonly #frame: BodyFrame;
  readonly #batchSize: number;
  readonly #onBatch: (batch: PlannedBatch) => void;
  #parts: Buffer[] = [];
  #keys: Buffer[] = [];
  #hashes: Buffer[] = [];
  #bytes = 0;
  #batches = 0;

  constructor(frame: BodyFrame, batchSize: number, onBatch: (batch: PlannedBatch) => void) {
    this.#frame = frame;
    this.#batchSize = batchSize;
    this.#onBatch = onBatch;
  }

  /** Batches handed over so far. */
  get batches(): number {
    return this.#batches;
  }

  /** Takes one row; false when its record alone makes a body that is too long. */
  add(row: PlannedRow): boolean {
    const { opening, closing } = this.#frame;
    const alone = opening.length + row.record.length + closing.length;
    if (alone > MAX_BODY_BYTES) return false;
    if (this.#bytes + COMMA.length + row.record.length + closing.length > MAX_BODY_BYTES) this.flush();
    if (this.#keys.length === 0) {
      this.#parts.push(opening);
      this.#bytes = opening.length;
    } else {
      this.#parts.push(COMMA);
      this.#bytes += COMMA.length;
    }
    this.#parts.push(row.record);
    this.#bytes += row.record.length;
    this.#keys.push(row.key);
    this.#hashes.push(row.hash);
    if (this.#keys.length >= this.#batchSize) this.flush();
    return true;
  }

  /** Hands over what has been gathered, if anything. */
  flush(): void {
    if (this.#keys.length === 0) return;
    const { closing } = this.#frame;
    this.#parts.push(closing);
    const body = Buffer.concat(this.#parts, this.#bytes + closing.length);
    const bodySha256 = createHash("sha256").update(body).digest("hex");
    this.#batches += 1;
    this.#onBatch({ batchNo: this.#batches, body, bodySha256, keys: this.#keys, hashes: this.#hashes });
    this.#parts = [];
    this.#keys = [];
    this.#hashes = [];
    this.#bytes = 0;
  }
}
