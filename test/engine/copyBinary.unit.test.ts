import { describe, expect, test } from "vitest";
import {
  arrayField,
  COPY_HEADER,
  COPY_TRAILER,
  CopyBinaryReader,
  copyRow,
  TEXT_OID,
} from "../../src/engine/copyBinary.ts";

const rows = [
  ["a", "1"],
  ["", "tab\tnewline\nbackslash\\ \\N \\."],
  ["鍵 ключ 🔑", "x".repeat(1000)],
];
const bytes = Buffer.concat([
  COPY_HEADER,
  ...rows.map((row) => copyRow(row.map((text) => Buffer.from(text)))),
  // One row with a NULL.
  Buffer.from([0, 1, 255, 255, 255, 255]),
  COPY_TRAILER,
]);

function read(size: number): { rows: (string | null)[][]; ended: boolean } {
  const reader = new CopyBinaryReader();
  const found: (string | null)[][] = [];
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size), (fields) => {
      found.push(fields.map((field) => field?.toString("utf8") ?? null));
    });
  }
  return { rows: found, ended: reader.ended };
}

describe("CopyBinaryReader", () => {
  test.each([1, 2, 3, 7, 19, 20, 64, 1 << 20])("finds the same rows in chunks of %i bytes", (size) => {
    expect(read(size)).toEqual({ rows: [...rows, [null]], ended: true });
  });

  test("says when the stream was cut off before its end", () => {
    const reader = new CopyBinaryReader();
    reader.push(bytes.subarray(0, bytes.length - 2), () => undefined);
    expect(reader.ended).toBe(false);
  });
});

describe("arrayField", () => {
  test("writes one dimension from 1 without NULLs", () => {
    const field = arrayField(TEXT_OID, [Buffer.from("ab")]);
    expect(field.toString("hex")).toBe("0000000100000000000000190000000100000001000000026162");
  });
});
