import { describe, expect, test } from "vitest";
import { rowErrorsOf } from "../../src/destinations/rowResults.ts";
import { rowResultsSchema } from "../../src/domain/httpRequestDestination.ts";

const keys = ["1", "2", "3"];
const sent = Buffer.from("[]");
const rowsOf = (settings: object) => ({ settings: rowResultsSchema.parse(settings), keys, sent });
const read = (answer: unknown, settings: object = {}) =>
  rowErrorsOf(Buffer.from(JSON.stringify(answer)), rowsOf(settings));
const unnamed = "the answer does not name this row";
const unsuccessful = "the answer does not call this row successful";

describe("results row by row", () => {
  test("name rows by their key, as a text or a number, in any order", () => {
    const results = [
      { identifier: 3, success: true },
      { identifier: "1", success: true },
    ];
    expect(read({ record_results: results })).toEqual([null, unnamed, null]);
  });

  test.each([
    ["a list of records", (records: object[]) => records],
    ["records under data", (data: object[]) => ({ operation: "changed", data })],
    ["one record", ([record]: object[]) => record],
    ["one record under data", ([data]: object[]) => ({ data })],
  ])("name rows by the texts under which they were sent in %s", (what, bodyOf) => {
    const all = ["2026-02-01T10:00:00Z", "1.5"];
    const forms = ["2026-02-01 10:00:00 UTC", "1.500"];
    const count = what.startsWith("one") ? 1 : 2;
    const body = bodyOf(forms.slice(0, count).map((form) => ({ unique_id: form })));
    const rows = { ...rowsOf({}), keys: all.slice(0, count), sent: Buffer.from(JSON.stringify(body)) };
    for (const names of [forms, all]) {
      const results = names.map((identifier) => ({ identifier, success: true }));
      const answer = Buffer.from(JSON.stringify({ record_results: results }));
      expect(rowErrorsOf(answer, rows)).toEqual(Array(count).fill(null));
    }
  });

  test.each([false, "true", 1, null, undefined, 404])("take %j for no success", (success) => {
    expect(read({ record_results: [{ identifier: "1", success }] })[0]).toBe(unsuccessful);
  });

  test("take a status of 2xx for success, as answers of 207 have it", () => {
    const results = [
      { id: 1, status: 201 },
      { id: 2, status: 409, detail: { code: "TAKEN" } },
      { id: 3, status: 200 },
    ];
    const settings = {
      results_path: "",
      identifier_field: "id",
      success_field: "status",
      error_field: "detail",
    };
    expect(read(results, settings)).toEqual([null, '{"code":"TAKEN"}', null]);
  });

  test("stand where the path leads, as in an answer of JSON-RPC", () => {
    const answer = {
      jsonrpc: "2.0",
      id: "b7",
      result: { record_results: [{ identifier: "2", success: true }] },
    };
    expect(read(answer, { results_path: "result.record_results" })).toEqual([unnamed, null, unnamed]);
    expect(read({ error: { code: 1 } }, { results_path: "result.record_results" })[0]).toBe(
      "the answer has no list of results at result.record_results",
    );
  });

  test("go by their place where no field names the row, if there is one for each", () => {
    const settings = { identifier_field: null };
    const good = { success: true };
    expect(read({ record_results: [good, {}, good] }, settings)).toEqual([null, unsuccessful, null]);
    expect(read({ record_results: [good, good] }, settings)).toEqual(
      Array<string>(3).fill("the answer has 2 results for 3 rows"),
    );
  });

  test("that speak of a row twice take it for failed if one does", () => {
    const results = [
      { identifier: "1", success: true },
      { identifier: "1", success: false, error_message: "no" },
      { identifier: "2", success: false, error_message: "no" },
      { identifier: "2", success: true },
    ];
    expect(read({ record_results: results })).toEqual(["no", "no", unnamed]);
  });

  test("keep 500 characters of what is said", () => {
    const results = [{ identifier: "1", error_message: `\u0000${"x".repeat(1_000)}` }];
    expect(read({ record_results: results })[0]).toBe(`\ufffd${"x".repeat(499)}`);
  });

  test.each([null, Buffer.alloc(0), Buffer.from("{"), Buffer.from("3"), Buffer.from('{"__proto__":[]}')])(
    "that are not there take no row for taken",
    (body) => {
      const errors = rowErrorsOf(body, rowsOf({}));
      expect(errors).toHaveLength(3);
      for (const error of errors) expect(error).not.toBeNull();
    },
  );
});
