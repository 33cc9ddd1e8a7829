import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { BatchCutter, bodyFrame, MAX_BODY_BYTES, type PlannedBatch } from "../../src/engine/batchCutter.ts";

const opening = Buffer.from('{"data":[');
const frame = { opening, closing: Buffer.from("]}") };
const row = (text: string) => ({
  key: Buffer.from("k"),
  hash: Buffer.alloc(8),
  record: Buffer.from(JSON.stringify(text)),
});

function cut(size: number, texts: string[]): { batches: PlannedBatch[]; refused: number } {
  const batches: PlannedBatch[] = [];
  const kind = { frame, batchSize: size, operation: "upsert" } as const;
  const cutter = new BatchCutter(kind, (batch) => batches.push({ ...batch, body: Buffer.from(batch.body) }));
  const refused = texts.filter((text) => !cutter.add(row(text))).length;
  cutter.flush();
  return { batches, refused };
}

describe("BatchCutter", () => {
  test("numbers batches from 1 and fills them to the batch size", () => {
    const { batches } = cut(2, ["a", "b", "c"]);
    expect(batches.map((batch) => [batch.batchNo, batch.body.toString(), batch.rows])).toEqual([
      [1, '{"data":["a","b"]}', 2],
      [2, '{"data":["c"]}', 1],
    ]);
  });

  test("hashes the exact bytes", () => {
    const [batch] = cut(1, ["a"]).batches;
    expect(batch?.bodySha256).toBe(createHash("sha256").update('{"data":["a"]}').digest("hex"));
  });

  test("cuts before a body grows beyond 1 MiB, and fills it to the last byte", () => {
    const rest = MAX_BODY_BYTES - opening.length - 2;
    // Two records, their four quotes and the comma between them make exactly the limit.
    const half = "x".repeat(500_000);
    const filling = "y".repeat(rest - half.length - 5);
    const { batches } = cut(100, [half, filling, "z"]);
    expect(batches.map((batch) => batch.body.length)).toEqual([MAX_BODY_BYTES, opening.length + 3 + 2]);
  });

  test("refuses a record that alone is too long and goes on with the next", () => {
    const { batches, refused } = cut(100, ["a", "x".repeat(MAX_BODY_BYTES), "b"]);
    expect(refused).toBe(1);
    expect(batches.map((batch) => batch.body.toString())).toEqual(['{"data":["a","b"]}']);
  });

  test("makes nothing of nothing", () => {
    expect(cut(10, []).batches).toEqual([]);
  });
});

describe("bodyFrame", () => {
  const sync = {
    id: 88,
    label: null,
    object: { type: "model", modelId: 9, name: 'trial "expired"', query: "" },
    destination: { name: "Ops hook", type: "webhook", settings: { wrap_data: true, use_bulk_upload: true } },
  } as unknown as Sync;
  const runAt = new Date("2026-02-03T10:00:00.999Z");
  const framed = (of: Sync, records: string): unknown => {
    const { opening: before, closing } = bodyFrame(of, runAt, "upsert");
    return JSON.parse(`${before.toString()}${records}${closing.toString()}`);
  };
  const shaped = (settings: { wrap_data: boolean; use_bulk_upload: boolean }): Sync =>
    ({ ...sync, destination: { name: "Ops hook", type: "webhook", settings } }) as unknown as Sync;

  test("leaves the metadata away where data is not wrapped, and the list where bulk upload is off", () => {
    const one = '{"unique_id":1}';
    expect(framed(shaped({ wrap_data: false, use_bulk_upload: true }), `${one},${one}`)).toEqual([
      { unique_id: 1 },
      { unique_id: 1 },
    ]);
    expect(framed(shaped({ wrap_data: false, use_bulk_upload: false }), one)).toEqual({ unique_id: 1 });
    expect(framed(shaped({ wrap_data: true, use_bulk_upload: false }), one)).toMatchObject({
      api_version: 1,
      data: { unique_id: 1 },
    });
  });

  test("has the seed's fields in the seed's order", () => {
    expect(framed(sync, "")).toEqual({
      api_version: 1,
      operation: "changed",
      sync_run_at: "2026-02-03T10:00:00Z",
      connection_name: "Ops hook",
      model_name: 'trial "expired"',
      schema_name: null,
      table_name: null,
      sync_configuration_id: 88,
      sync_configuration_name: null,
      data: [],
    });
  });

  test("names schema and table of a table", () => {
    const table = {
      ...sync,
      label: "Nightly",
      object: { type: "table", schema: "public", table: "people" },
    } as Sync;
    expect(framed(table, "")).toMatchObject({
      model_name: null,
      schema_name: "public",
      table_name: "people",
      sync_configuration_name: "Nightly",
    });
  });
});
