/** Postgres' binary COPY format: rows out of a byte stream, and fields into one. No escapes, so keys stay the bytes they are. */

const SIGNATURE_BYTES = 11;
const HEADER_BYTES = SIGNATURE_BYTES + 8;

/** What stands before the first row: signature, flags, length of the (empty) extension. */
export const COPY_HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);

/** What stands after the last row. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

const EMPTY = Buffer.alloc(0);

/** Cuts a binary COPY stream into rows; keeps at most one unfinished row and the chunk it is in. */
export class CopyBinaryReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Bytes that must be there before looking again makes sense: a long row is not joined anew for every chunk of it. */
  #wanted = HEADER_BYTES;
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
      offset = HEADER_BYTES + bytes.readInt32BE(SIGNATURE_BYTES + 4);
      if (bytes.length < offset) return this.#keep(bytes, 0, offset);
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
    let at = start + 2;
    if (bytes.length < at) return -at;
    const count = bytes.readInt16BE(start);
    if (count < 0) {
      this.#ended = true;
      return at;
    }
    const fields: (Buffer | null)[] = [];
    for (let index = 0; index < count; index += 1) {
      if (bytes.length < at + 4) return -(at + 4);
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) {
        fields.push(null);
        continue;
      }
      if (bytes.length < at + length) return -(at + length);
      fields.push(bytes.subarray(at, at + length));
      at += length;
    }
    onRow(fields);
    return at;
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

/** One row, from its fields; null is SQL NULL. */
export function copyRow(fields: readonly (Buffer | null)[]): Buffer {
  const row = Buffer.allocUnsafe(fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 2));
  let at = row.writeInt16BE(fields.length);
  for (const field of fields) {
    at = row.writeInt32BE(field?.length ?? -1, at);
    at += field?.copy(row, at) ?? 0;
  }
  return row;
}
