import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import {
  ArrayField,
  arrayElements,
  arrayField,
  COPY_HEADER,
  COPY_TRAILER,
  copyRow,
  TEXT_OID,
} from "../../src/engine/copyBinary.ts";
import { rowChunks } from "../../src/engine/rowChunks.ts";

type Row = [key: string | null, hash: string | null, record: string | null];

const streamOf = (rows: readonly Row[], end: Buffer = COPY_TRAILER): Buffer =>
  Buffer.concat([
    COPY_HEADER,
    ...rows.map((row) => copyRow(row.map((text) => (text === null ? null : Buffer.from(text))))),
    end,
  ]);

function* partsOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

interface Found {
  chunks: number;
  rows: Row[];
  keys: string[];
}

async function read(bytes: Buffer, size: number, isEager = false): Promise<Found> {
  const found: Found = { chunks: 0, rows: [], keys: [] };
  const reading = { signal: undefined, isEager };
  for await (const chunk of rowChunks(Readable.from(partsOf(bytes, size)), reading)) {
    found.chunks += 1;
    found.keys.push(...arrayElements(chunk.keys()).map(String));
    for (let place = 0; place < chunk.length; place += 1) {
      const { key, hash, record } = chunk.row(place);
      found.rows.push([key.toString(), hash.toString(), record?.toString() ?? null]);
    }
  }
  return found;
}

describe("Rows of the second pass", () => {
  const rows: Row[] = [
    ["a", "1", "{}"],
    ["", "2", null],
    ["鍵 ключ 🔑", "3", "x".repeat(3_000)],
  ];
  const withoutKey: Row = [null, "4", "{}"];

  describe.each([false, true])("read eagerly: %s", (isEager) => {
    test.each([1, 7, 64, 1 << 20])(
      "are the same in parts of %i bytes, those without a key left out",
      async (size) => {
        const bytes = streamOf([...rows.slice(0, 1), withoutKey, ...rows.slice(1)]);
        const found = await read(bytes, size, isEager);
        expect(found.rows).toEqual(rows);
        expect(found.keys).toEqual(rows.map(([key]) => key));
      },
    );
  });

  test("are given while their source still works, to who wants them at once", async () => {
    const source = new PassThrough();
    const chunks = rowChunks(source, { signal: undefined, isEager: true });
    const bytes = streamOf(rows);
    const firstRow = streamOf(rows.slice(0, 1), Buffer.alloc(0)).length;
    source.write(bytes.subarray(0, firstRow));
    const { value: chunk } = await chunks.next();
    expect(chunk?.length).toBe(1);
    source.end(bytes.subarray(firstRow));
    const { value: rest } = await chunks.next();
    expect(rest?.row(0).hash.toString()).toBe("2");
    await chunks.return(undefined);
  });

  test("come in several chunks that share their memory, and none is lost or told twice", async () => {
    const many = Array.from({ length: 9_000 }, (_, n): Row => [`k${n}`, "h", `{"n":${n}}`]);
    const found = await read(streamOf(many), 1_000);
    expect(found.chunks).toBeGreaterThan(4);
    expect(found.rows).toEqual(many);
    expect(found.keys).toEqual(many.map(([key]) => key));
  });

  test("may be many in one part, or longer than a chunk", async () => {
    const long = "y".repeat(3 << 20);
    const many = Array.from({ length: 5_000 }, (_, n): Row => [`k${n}`, "h", n === 4_000 ? long : null]);
    expect((await read(streamOf(many), 1 << 23)).rows).toEqual(many);
  });

  test("of a stream that was cut off are a failure of the source", async () => {
    await expect(read(streamOf(rows, Buffer.alloc(0)), 64)).rejects.toMatchObject({
      runCode: "SOURCE_CONNECTION_FAILED",
    });
  });
});

describe("ArrayField", () => {
  test("is byte for byte what arrayField makes, also when it is used again", () => {
    const field = new ArrayField(TEXT_OID);
    for (const words of [["a", "", "鍵"], ["x".repeat(40_000)], []]) {
      field.clear();
      for (const word of words) field.add(Buffer.from(word));
      const whole = arrayField(
        TEXT_OID,
        words.map((word) => Buffer.from(word)),
      );
      expect(field.view().equals(whole)).toBe(true);
    }
  });
});
