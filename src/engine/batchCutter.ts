/** Cuts rows into batches: the exact bytes of each request body, with the keys and hashes that its acceptance makes true. */
import { hash } from "node:crypto";
import type { Destination, Sync, WebhookDestinationSettings } from "../domain/configuration.ts";
import type { BatchOperation } from "../projections/database.ts";
import { TOO_LONG } from "../sources/source.ts";
import { ArrayField, INT8_OID, TEXT_OID } from "./copyBinary.ts";
import { GrowingBytes } from "./growingBytes.ts";

/** A body is cut before it grows beyond this. Source: ours; behaviour.md 5.7. */
export const MAX_BODY_BYTES = 1_048_576;

/** One row to send: key in UTF-8, hash as eight bytes big-endian (empty for a delete), record as JSON in UTF-8. */
export interface PlannedRow {
  key: Buffer;
  hash: Buffer;
  record: Buffer;
}

/** One request to come. Its buffers are the cutter's: copy what is kept after it was handed over. */
export interface PlannedBatch {
  batchNo: number;
  /** Number of its rows. */
  rows: number;
  body: Buffer;
  /** Hex. */
  bodySha256: string;
  operation: BatchOperation;
  /** As a text[] field. */
  keys: Buffer;
  /** What acceptance makes the state of each key, as a bigint[] field; null: it takes the keys out of the state. */
  hashes: Buffer | null;
  /** The records as a text[] field, where the state keeps them; else null. */
  records: Buffer | null;
  /** Method, path and content type as JSON, where a body is not all of a request. */
  request?: string | null;
  /** The records as a JSON list, where the body was made from them. */
  sourceRecords?: Buffer | null;
}

/** Gathers rows in their order and hands over each full batch. */
export interface Cutter {
  /** Takes one row, and copies it; false when it cannot be sent, then `fault` says why. */
  add(row: PlannedRow): boolean;
  /** Why the last row was not taken, without a value of it. */
  readonly fault: string;
  /** Hands over what has been gathered, if anything. */
  flush(): void;
  /** Number of the last batch that was handed over. */
  readonly lastNo: number;
}

/** What all batches of one cutter have in common. */
export interface BatchKind {
  frame: BodyFrame;
  batchSize: number;
  operation: BatchOperation;
  /** Whether acceptance takes the keys out of the state. */
  forgets?: boolean;
  /** Whether the state keeps the records. */
  keepsRecords?: boolean;
  /** Number of the last batch before; 0 when left out. */
  after?: number;
  /** See PlannedBatch. */
  request?: string | null;
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
export function bodyFrame(sync: Sync, runAt: Date, operation: BatchOperation): BodyFrame {
  const { wrap_data: isWrapped, use_bulk_upload: isList } = webhookSettings(sync.destination);
  const head = isWrapped ? `${JSON.stringify(metadata(sync, runAt, operation)).slice(0, -1)},"data":` : "";
  return {
    opening: Buffer.from(`${head}${isList ? "[" : ""}`),
    closing: Buffer.from(`${isList ? "]" : ""}${isWrapped ? "}" : ""}`),
  };
}

function metadata({ object, destination, id, label }: Sync, runAt: Date, operation: BatchOperation): object {
  return {
    api_version: 1,
    operation: operation === "delete" ? "deleted" : "changed",
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
  const { use_bulk_upload: isList, batch_size: size } = webhookSettings(destination);
  return isList ? size : 1;
}

function webhookSettings({ type, settings }: Destination): WebhookDestinationSettings {
  if (type !== "webhook") throw new TypeError(`${type} has a body of its own`);
  return settings;
}

/** Gathers rows whose records travel as they are, and hands each full batch to `onBatch`. */
export class BatchCutter implements Cutter {
  readonly fault = TOO_LONG;
  readonly #kind: BatchKind;
  readonly #onBatch: (batch: PlannedBatch) => void;
  readonly #body = new GrowingBytes();
  readonly #keys = new ArrayField(TEXT_OID);
  readonly #hashes = new ArrayField(INT8_OID);
  readonly #records = new ArrayField(TEXT_OID);
  #rows = 0;
  #lastNo: number;

  constructor(kind: BatchKind, onBatch: (batch: PlannedBatch) => void) {
    this.#kind = kind;
    this.#onBatch = onBatch;
    this.#lastNo = kind.after ?? 0;
  }

  /** Number of the last batch that was handed over. */
  get lastNo(): number {
    return this.#lastNo;
  }

  /** Takes one row; false when its record alone makes a body that is too long. */
  add({ key, hash, record }: PlannedRow): boolean {
    const { frame, batchSize, forgets, keepsRecords } = this.#kind;
    const { opening, closing } = frame;
    const alone = opening.length + record.length + closing.length;
    if (alone > MAX_BODY_BYTES) return false;
    if (this.#body.length + COMMA.length + record.length + closing.length > MAX_BODY_BYTES) this.flush();
    this.#body.append(this.#rows === 0 ? opening : COMMA);
    this.#body.append(record);
    this.#keys.add(key);
    if (forgets !== true) this.#hashes.add(hash);
    if (keepsRecords === true) this.#records.add(record);
    this.#rows += 1;
    if (this.#rows >= batchSize) this.flush();
    return true;
  }

  /** Hands over what has been gathered, if anything. */
  flush(): void {
    if (this.#rows === 0) return;
    const { frame, operation, forgets, keepsRecords, request } = this.#kind;
    this.#body.append(frame.closing);
    const body = this.#body.view();
    this.#lastNo += 1;
    this.#onBatch({
      batchNo: this.#lastNo,
      rows: this.#rows,
      body,
      bodySha256: hash("sha256", body, "hex"),
      operation,
      keys: this.#keys.view(),
      hashes: forgets === true ? null : this.#hashes.view(),
      records: keepsRecords === true ? this.#records.view() : null,
      request: request ?? null,
    });
    this.#rows = 0;
    this.#body.cutTo(0);
    for (const field of [this.#keys, this.#hashes, this.#records]) field.clear();
  }
}
