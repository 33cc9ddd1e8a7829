/** Postgres' binary COPY format: rows out of a byte stream, and fields into one. No escapes, so keys stay the bytes they are. */
import { GrowingBytes } from "./growingBytes.ts";

const SIGNATURE_BYTES = 11;
const HEADER_BYTES = SIGNATURE_BYTES + 8;

/** What stands before the first row: signature, flags, length of the (empty) extension. */
export const COPY_HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);

/** What stands after the last row. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

const EMPTY = Buffer.alloc(0);

/** Stands for the place of a field that is NULL. */
export const NULL = -1;

/** Where the fields of a row stand. */
export interface RowSpans {
  /** Number of fields; -1 for the trailer, which ends the rows. */
  fields: number;
  /** Of each field, or NULL. */
  starts: number[];
  ends: number[];
}

/** Where the rows begin; null when that part of the stream has not come yet. */
export function headerEnd(bytes: Buffer): number | null {
  if (bytes.length < HEADER_BYTES) return null;
  const end = HEADER_BYTES + bytes.readInt32BE(SIGNATURE_BYTES + 4);
  return end <= bytes.length ? end : null;
}

/** Finds the fields of the row at `start`; returns where it ends, or minus the place up to which bytes are needed to know. */
export function readRow(bytes: Buffer, start: number, row: RowSpans): number {
  let at = start + 2;
  if (bytes.length < at) return -at;
  row.fields = bytes.readInt16BE(start);
  for (let index = 0; index < row.fields; index += 1) {
    if (bytes.length < at + 4) return -(at + 4);
    const length = bytes.readInt32BE(at);
    at += 4;
    row.starts[index] = length < 0 ? NULL : at;
    if (length < 0) continue;
    at += length;
    if (bytes.length < at) return -at;
    row.ends[index] = at;
  }
  return at;
}

/** Cuts a binary COPY stream into rows; keeps at most one unfinished row and the chunk it is in. */
export class CopyBinaryReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Bytes that must be there before looking again makes sense: a long row is not joined anew for every chunk of it. */
  #wanted = HEADER_BYTES;
  readonly #spans: RowSpans = { fields: 0, starts: [], ends: [] };
  #headerDone = false;
  #ended = false;

  /** True once the trailer came: the stream was not cut off. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the next bytes and calls `onRow` with the fields of each row that they complete; null is SQL NULL. */
  push(chunk: Buffer, onRow: (fields: (Buffer | null)[]) => void): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes < this.#wanted) return;
    const bytes = this.#pending.length === 1 ? chunk : Buffer.concat(this.#pending, this.#pendingBytes);
    let offset = 0;
    if (!this.#headerDone) {
      const end = headerEnd(bytes);
      if (end === null) return this.#keep(bytes, 0, bytes.length + 1);
      offset = end;
      this.#headerDone = true;
    }
    while (!this.#ended) {
      const end = this.#row(bytes, offset, onRow);
      if (end < 0) return this.#keep(bytes, offset, -end - offset);
      offset = end;
    }
    this.#keep(EMPTY, 0, 1);
  }

  #keep(bytes: Buffer, offset: number, wanted: number): void {
    this.#pending = offset < bytes.length ? [bytes.subarray(offset)] : [];
    this.#pendingBytes = bytes.length - offset;
    this.#wanted = wanted;
  }

  /** Reads one row; returns where it ends, or minus the place up to which bytes are needed to go on. */
  #row(bytes: Buffer, start: number, onRow: (fields: (Buffer | null)[]) => void): number {
    const end = readRow(bytes, start, this.#spans);
    if (end < 0) return end;
    const { fields: count, starts, ends } = this.#spans;
    if (count < 0) {
      this.#ended = true;
      return end;
    }
    const fields: (Buffer | null)[] = [];
    for (let index = 0; index < count; index += 1) {
      const from = starts[index] ?? NULL;
      fields.push(from === NULL ? null : bytes.subarray(from, ends[index]));
    }
    onRow(fields);
    return end;
  }
}

/** Type oids of the elements of arrays. */
export const INT8_OID = 20;
export const TEXT_OID = 25;

/** A one-dimensional array field without NULLs, from the elements' own binary forms. */
export function arrayField(elementOid: number, elements: readonly Buffer[]): Buffer {
  const length = elements.reduce((sum, element) => sum + 4 + element.length, 20);
  const field = Buffer.allocUnsafe(length);
  let at = 0;
  for (const word of [1, 0, elementOid, elements.length, 1]) at = field.writeInt32BE(word, at);
  for (const element of elements) {
    at = field.writeInt32BE(element.length, at);
    at += element.copy(field, at);
  }
  return field;
}

/** Bytes before the elements of an array field, and where the number of elements stands in them. */
const ARRAY_HEAD = 20;
const ARRAY_COUNT_AT = 12;

/** The same, built element by element in one buffer that is used again. */
export class ArrayField {
  readonly #bytes = new GrowingBytes();
  #count = 0;

  constructor(elementOid: number) {
    for (const word of [1, 0, elementOid, 0, 1]) this.#bytes.appendInt32(word);
  }

  add(element: Buffer): void {
    this.addPart(element, 0, element.length);
  }

  /** Adds a part of a buffer. */
  addPart(bytes: Buffer, start: number, end: number): void {
    this.#bytes.appendInt32(end - start);
    this.#bytes.append(bytes, start, end);
    this.#count += 1;
  }

  /** The field, as it stands until the next change. */
  view(): Buffer {
    this.#bytes.setInt32(this.#count, ARRAY_COUNT_AT);
    return this.#bytes.view();
  }

  clear(): void {
    this.#bytes.cutTo(ARRAY_HEAD);
    this.#count = 0;
  }
}

/** Elements of an array field without NULLs. */
export function arrayElements(field: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = ARRAY_HEAD; at < field.length; ) {
    const start = at + 4;
    at = start + field.readInt32BE(at);
    elements.push(field.subarray(start, at));
  }
  return elements;
}

/** An int8 field. */
export function int8Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(8);
  field.writeBigInt64BE(BigInt(value));
  return field;
}

/** An int4 field. */
export function int4Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(4);
  field.writeInt32BE(value);
  return field;
}

/** Appends one row, from its fields; null is SQL NULL. */
export function appendRow(to: GrowingBytes, fields: readonly (Buffer | null)[]): void {
  to.append(Buffer.from([fields.length >> 8, fields.length & 0xff]));
  for (const field of fields) {
    to.appendInt32(field?.length ?? -1);
    if (field !== null) to.append(field);
  }
}

/** One row by itself. */
export function copyRow(fields: readonly (Buffer | null)[]): Buffer {
  const row = new GrowingBytes();
  appendRow(row, fields);
  return row.view();
}
