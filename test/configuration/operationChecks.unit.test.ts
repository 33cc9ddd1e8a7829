import { describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { InvalidInput } from "../../src/domain/errors.ts";

/** The faults of a file with one sync, each after its field; none when it is taken. */
function faults(fields: string, destination = ""): string[] {
  const text = `workspace: demo
sources:
  warehouse: { type: postgres, url: "postgres://db:5433/wh" }
destinations:
  ops: { type: webhook, url: https://ops.example/in${destination} }
syncs:
  a: { table: public.people, source: warehouse, destination: ops, key: id${fields} }
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
