import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutRecords, joinRecords } from "../../src/engine/bodyRecords.ts";
import { cutJsonBody } from "../../src/engine/cutBody.ts";

const texts = (body: string) => {
  const parts = cutRecords(Buffer.from(body));
  return parts === null ? null : parts.records.map(String);
};

describe("the records of a body", () => {
  test.each([
    ['{"operation":"changed","data":[{"a":1},{"a":[1,{"b":"]},"}]}]}', ['{"a":1}', '{"a":[1,{"b":"]},"}]}']],
    ['[{"a":"\\\\"},{"b":"\\"]"}]', ['{"a":"\\\\"}', '{"b":"\\"]"}']],
    ['[{"a": 1.50 },{"a":1e400}]', ['{"a": 1.50 }', '{"a":1e400}']],
    ['{"name":"\\"data\\":[","data":[{"鍵":"\u{1f9ea}"}]}', ['{"鍵":"\u{1f9ea}"}']],
    ["[]", []],
  ])("of %s are found byte by byte", (body, records) => {
    expect(texts(body)).toEqual(records);
  });

  test.each(['{"data":{"a":1}}', '{"a":1}', '"text"', "", '[{"a":1}'])(
    "of %j are not to be found",
    (body) => {
      expect(cutRecords(Buffer.from(body))).toBeNull();
    },
  );

  test("whatever they hold, stay as they were when the body is put together again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1 }),
        fc.boolean(),
        (rows, wraps) => {
          const list = JSON.stringify(rows);
          const body = Buffer.from(wraps ? `{"operation":"changed","data":${list}}` : list);
          const parts = cutRecords(body);
          if (parts === null) throw new Error("the records were not found");
          expect(parts.records.map((record) => JSON.parse(String(record)) as unknown)).toEqual(
            rows.map((row) => JSON.parse(JSON.stringify(row)) as unknown),
          );
          expect(joinRecords(parts)).toEqual(body);
        },
      ),
    );
  });
});

describe("a body cut in two", () => {
  test("keeps what stands around the records in both halves", () => {
    const body = Buffer.from('{"api_version":1,"data":[{"a":1},{"a":2},{"a":3}]}');
    const whole = { operation: "upsert", body, records: 3, sourceRecords: null } as const;
    expect(cutJsonBody(whole, 2)?.map((half) => String(half.body))).toEqual([
      '{"api_version":1,"data":[{"a":1},{"a":2}]}',
      '{"api_version":1,"data":[{"a":3}]}',
    ]);
  });

  test("is not cut when it does not hold as many records as its batch has", () => {
    const whole = {
      operation: "upsert",
      body: Buffer.from("[1,2]"),
      records: 3,
      sourceRecords: null,
    } as const;
    expect(cutJsonBody(whole, 2)).toBeNull();
  });
});
