import { describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { InvalidInput } from "../../src/domain/errors.ts";

/** The faults of a file with one sync, each after its field; none when it is taken. */
function faults(fields: string, settings = "", name: "ops" | "crm" = "ops"): string[] {
  const settingsOf = (each: string) => (each === name ? settings : "");
  const text = `workspace: demo
sources:
  warehouse: { type: postgres, url: "postgres://db:5433/wh" }
destinations:
  ops: { type: webhook, url: https://ops.example/in${settingsOf("ops")} }
  crm: { type: http_request, url: https://crm.example/v2${settingsOf("crm")} }
syncs:
  a: { table: public.people, source: warehouse, destination: ${name}, key: id${fields} }
`;
  try {
    parseEgretFile(text, "egret.yaml", { env: {}, allowHttp: false });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return error.problems.map((problem) => `${problem.field} | ${problem.message.replace(/^\S+: /, "")}`);
  }
}

describe("the operation of a sync", () => {
  test.each(["upsert", "append", "mirror"])("may be %s for a webhook", (operation) => {
    expect(faults(`, operation: ${operation}`)).toEqual([]);
  });

  test.each(["update", "insert", "delete"])("may not be %s for a webhook", (operation) => {
    expect(faults(`, operation: ${operation}`)).toEqual([
      `syncs.a.operation | A webhook destination cannot \`${operation}\`; choose one of upsert, append, mirror.`,
    ]);
  });

  test("may not be mirror where rows travel bare, since deletes would look like changes", () => {
    const [fault, ...others] = faults(", operation: mirror", ", wrap_data: false");
    expect(others).toEqual([]);
    expect(fault).toMatch(/^syncs\.a\.operation \| "ops" gets bare rows .* set `wrap_data: true` there/);
    expect(faults(", operation: append", ", wrap_data: false")).toEqual([]);
  });

  test("may be called create where it is insert", () => {
    expect(faults(", operation: create")).toEqual([
      "syncs.a.operation | A webhook destination cannot `insert`; choose one of upsert, append, mirror.",
    ]);
  });

  test.each([
    [", path: /people", false],
    [", path: /people, delete_payload: columns", true],
    [', path: "/people/{{ record.unique_id }}"', true],
    [', path: /people, delete_path: "/people/{{ record.unique_id }}"', true],
    [', path: "/people/{{ record.unique_id }}", delete_path: /people', false],
  ])("may delete at an API with%s: %j", (settings, isTaken) => {
    for (const operation of ["mirror", "delete"]) {
      const found = faults(`, operation: ${operation}`, settings, "crm");
      expect(found.map((fault) => fault.slice(0, 67))).toEqual(
        isTaken ? [] : ['syncs.a.destination | A delete sent to "crm" names no row: its path'],
      );
    }
    expect(faults("", settings, "crm")).toEqual([]);
  });

  test.each([
    ["historical_sync_operation: skip_current_records", "append"],
    ["high_water_mark_attribute: at", "append"],
    ["send_full_record_on_delete: true", "mirror"],
    ["max_delete_percent: 0", "mirror"],
  ])("decides whether %s means something", (option, operation) => {
    const [name] = option.split(":");
    expect(faults(`, ${option}, operation: ${operation}`)).toEqual([]);
    expect(faults(`, ${option}`)).toEqual([
      `syncs.a.${name} | \`${name}\` works with \`operation: ${operation}\` only; leave it out, or choose that operation.`,
    ]);
  });
});
