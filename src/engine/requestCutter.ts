/** Cuts rows into requests that are made from what the rows hold: path and body are rendered once, with the plan (I9). */
import { hash } from "node:crypto";
import { type MadeRequest, type RequestMaker, requestMaker } from "../destinations/requestMaker.ts";
import type { HttpRequestDestination, Sync } from "../domain/configuration.ts";
import { InvalidInput, RunFailure } from "../domain/errors.ts";
import { TOO_LONG } from "../sources/source.ts";
import {
  BatchCutter,
  type BatchKind,
  bodyFrame,
  type Cutter,
  MAX_BODY_BYTES,
  type PlannedBatch,
  type PlannedRow,
  recordsPerRequest,
} from "./batchCutter.ts";
import { joinRecords } from "./bodyRecords.ts";
import { arrayField, INT8_OID, TEXT_OID } from "./copyBinary.ts";

/** What the batches of one cutter have in common, whatever the destination. */
export type CutKind = Omit<BatchKind, "frame" | "batchSize" | "request">;

/**
 * The cutter for a sync's destination.
 * @throws RunFailure when a template of the destination cannot be used.
 */
export function openCutter(
  { sync, runAt, ...kind }: CutKind & { sync: Sync; runAt: Date },
  onBatch: (batch: PlannedBatch) => void,
): Cutter {
  const { destination } = sync;
  if (destination.type === "webhook") {
    const frame = bodyFrame(sync, runAt, kind.operation);
    return new BatchCutter({ ...kind, frame, batchSize: recordsPerRequest(sync) }, onBatch);
  }
  const maker = makerFor(destination, kind.operation === "delete");
  if (maker.frame === null) return new RequestCutter(kind, maker, onBatch);
  const { request, ...frame } = maker.frame;
  const stored = JSON.stringify(request);
  return new BatchCutter({ ...kind, frame, batchSize: maker.recordsPerRequest, request: stored }, onBatch);
}

/** @throws RunFailure: the file was checked, but what our Postgres holds may be older. */
function makerFor(destination: HttpRequestDestination, isDelete: boolean): RequestMaker {
  try {
    return requestMaker(destination, isDelete);
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const message = `Destination ${destination.name}: ${error.message}`;
    throw new RunFailure("CONFIG_INVALID", message, "Mend the template and apply again.", { cause: error });
  }
}

type Made = Extract<MadeRequest, { ok: true }>;

class RequestCutter implements Cutter {
  readonly #kind: CutKind;
  readonly #maker: RequestMaker;
  readonly #onBatch: (batch: PlannedBatch) => void;
  #rows: PlannedRow[] = [];
  #bytes = 0;
  #lastNo: number;
  fault = "";

  constructor(kind: CutKind, maker: RequestMaker, onBatch: (batch: PlannedBatch) => void) {
    this.#kind = kind;
    this.#maker = maker;
    this.#onBatch = onBatch;
    this.#lastNo = kind.after ?? 0;
  }

  get lastNo(): number {
    return this.#lastNo;
  }

  /** Makes the request of each row alone, too: so it is known which row of many is at fault. */
  add(row: PlannedRow): boolean {
    const alone = this.#make([row]);
    if (alone === null) return false;
    if (this.#maker.recordsPerRequest === 1) {
      this.#handOver([row], alone);
      return true;
    }
    if (this.#bytes + row.record.length > MAX_BODY_BYTES) this.flush();
    this.#rows.push({
      key: Buffer.from(row.key),
      hash: Buffer.from(row.hash),
      record: Buffer.from(row.record),
    });
    this.#bytes += row.record.length;
    if (this.#rows.length >= this.#maker.recordsPerRequest) this.flush();
    return true;
  }

  flush(): void {
    const rows = this.#rows;
    this.#rows = [];
    this.#bytes = 0;
    if (rows.length > 0) this.#handOverFitting(rows);
  }

  /** Rows that can be sent alone can be too much for one body, or one render, together. */
  #handOverFitting(rows: readonly PlannedRow[]): void {
    const made = this.#make(rows);
    if (made !== null) {
      this.#handOver(rows, made);
      return;
    }
    if (rows.length === 1)
      throw new Error(`a request that could be made before cannot be made again: ${this.fault}`);
    const half = Math.ceil(rows.length / 2);
    this.#handOverFitting(rows.slice(0, half));
    this.#handOverFitting(rows.slice(half));
  }

  #make(rows: readonly PlannedRow[]): Made | null {
    const made = this.#maker.make(rows.map((row) => row.record));
    if (made.ok && made.body.length <= MAX_BODY_BYTES) return made;
    this.fault = made.ok ? TOO_LONG : made.message;
    return null;
  }

  #handOver(rows: readonly PlannedRow[], { body, request }: Made): void {
    const { operation, forgets, keepsRecords } = this.#kind;
    const records = rows.map((row) => row.record);
    this.#lastNo += 1;
    this.#onBatch({
      batchNo: this.#lastNo,
      rows: rows.length,
      body,
      bodySha256: hash("sha256", body, "hex"),
      operation,
      keys: arrayField(
        TEXT_OID,
        rows.map((row) => row.key),
      ),
      hashes:
        forgets === true
          ? null
          : arrayField(
              INT8_OID,
              rows.map((row) => row.hash),
            ),
      records: keepsRecords === true ? arrayField(TEXT_OID, records) : null,
      request: JSON.stringify(request),
      // What halves of this batch would be made from, and what shows the rows where the body does not.
      sourceRecords: rows.length > 1 || body !== records[0] ? listOf(records) : null,
    });
  }
}

const LIST = { opening: Buffer.from("["), closing: Buffer.from("]") };

function listOf(records: Buffer[]): Buffer {
  return joinRecords({ ...LIST, records });
}
