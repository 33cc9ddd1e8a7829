import { describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { bodyFrame } from "../../src/engine/batchCutter.ts";
import { payloadsOf } from "../../src/engine/recordPayloads.ts";
import { makeSync } from "./fixture.ts";

const NUL = Buffer.from("\0");
const RUN_AT = new Date("2026-02-03T10:00:00.123Z");

/** A body as a webhook destination with these settings gets it. */
function bodyOf(
  records: string[],
  settings: { wrap_data: boolean; use_bulk_upload: boolean },
  label = "People",
) {
  const plain = makeSync({ sourceUrl: "postgres://nowhere/" });
  const destination = { ...plain.destination, settings: { ...plain.destination.settings, ...settings } };
  const { opening, closing } = bodyFrame({ ...plain, label, destination } as Sync, RUN_AT, "upsert");
  return Buffer.concat([opening, Buffer.from(records.join(",")), closing]);
}

const told = (body: Buffer, records: number, more: { request?: string; sourceRecords?: Buffer } = {}) =>
  payloadsOf({ body, records, sourceRecords: null, request: null, ...more });

const RECORDS = [
  '{"unique_id":12345678901234567890,"note":"a \\"data\\":[ b"}',
  '{"unique_id":2,"data":[{"a":1},{"b":[]}]}',
  '{"unique_id":"}],[","data":{"data":[1]}}',
];

describe("the records of a body", () => {
  test.each([
    [true, true],
    [false, true],
  ])("wrapped %s, in a list: come out with the bytes they went in with", (wrap_data, use_bulk_upload) => {
    expect(told(bodyOf(RECORDS, { wrap_data, use_bulk_upload }), 3)).toEqual(RECORDS);
    expect(told(bodyOf(RECORDS.slice(1, 2), { wrap_data, use_bulk_upload }), 1)).toEqual([RECORDS[1]]);
  });

  test.each([true, false])("wrapped %s, one by one: are the one record, whatever it holds", (wrap_data) => {
    for (const record of RECORDS) {
      expect(told(bodyOf([record], { wrap_data, use_bulk_upload: false }), 1)).toEqual([record]);
    }
  });

  test("are found behind a sync's label that looks like them", () => {
    const label = '","data":[{"unique_id":0}],"x":"';
    for (const use_bulk_upload of [true, false]) {
      const body = bodyOf([RECORDS[0] ?? ""], { wrap_data: true, use_bulk_upload }, label);
      expect(told(body, 1)).toEqual([RECORDS[0]]);
    }
  });

  test("of an http_request destination are its list, its object, or what its template was made from", () => {
    const request = '{"method":"PUT","path":"/x","contentType":"application/json"}';
    const wrapped = '{"api_version":1,"operation":"changed","data":[1,2]}';
    expect(told(Buffer.from(wrapped), 1, { request })).toEqual([wrapped]);
    expect(told(Buffer.from(`[${RECORDS.join(",")}]`), 3, { request })).toEqual(RECORDS);
    const sourceRecords = Buffer.from(`[${RECORDS[0]}]`);
    expect(told(Buffer.from("a=b&c=d"), 1, { request, sourceRecords })).toEqual([RECORDS[0]]);
  });

  test("are on one line each: a column of type json keeps its line breaks", () => {
    const record = '{"unique_id":1,"j":{\r\n  "a": "x\\ny"\n}}';
    const [line] = told(Buffer.from(`[${record}]`), 1) ?? [];
    expect(line).toBe('{"unique_id":1,"j":{   "a": "x\\ny" }}');
    expect(JSON.parse(line ?? "")).toEqual(JSON.parse(record));
  });

  test("are not told where the body is something else, or has another number of them", () => {
    expect(told(Buffer.from("a=b&c=d"), 1, { request: "{}" })).toBeNull();
    expect(told(Buffer.alloc(0), 1)).toBeNull();
    expect(told(NUL, 1)).toBeNull();
    expect(told(Buffer.from('[{"a":1},{"a":2}]'), 3)).toBeNull();
    expect(told(Buffer.from('{"a":1}'), 2)).toBeNull();
    expect(payloadsOf({ body: null, records: 1, sourceRecords: null, request: null })).toBeNull();
  });
});
