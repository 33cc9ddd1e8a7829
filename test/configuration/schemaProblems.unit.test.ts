import { describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { InvalidInput } from "../../src/domain/errors.ts";

/** What is said of a file with one destination and one sync, each fault after its field. */
function faults(sync: string, destination = ""): string[] {
  const text = `workspace: demo
sources:
  warehouse: { type: postgres, url: "postgres://db:5433/wh" }
destinations:
  ops: { type: http_request, url: https://ops.example/in${destination} }
syncs:
  a: { table: public.people, source: warehouse, destination: ops, key: id${sync} }
`;
  try {
    parseEgretFile(text, "egret.yaml", { env: {}, allowHttp: false });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return error.problems.map((problem) => `${problem.field} | ${problem.message.replace(/^\S+: /, "")}`);
  }
}

describe("what the schema of egret.yaml refuses", () => {
  test.each<[string, string]>([
    [
      "alerts: [{ type: FailureAlert }]",
      'alerts[0].type | "FailureAlert" is not known. Known: FailureAlertConfiguration, InvalidRecordPercentAlertConfiguration, StatusAlertConfiguration, FullSyncTriggerAlertConfiguration, RuntimeAlertConfiguration, RecordCountDeviationAlertConfiguration.',
    ],
    [
      "alerts: [{ type: RuntimeAlertConfiguration }]",
      "alerts[0].options | Is missing; add it: a map with `threshold`.",
    ],
    [
      "alerts: [{ type: RecordCountDeviationAlertConfiguration }]",
      "alerts[0].options | Is missing; add it: a map with `threshold` and `record_type`.",
    ],
    [
      "alerts: [{ type: RuntimeAlertConfiguration, options: { threshold: 5, unti: hours } }]",
      'alerts[0].options.unti | Unknown key "unti". Did you mean "unit"?',
    ],
    [
      "alerts: [{ type: RuntimeAlertConfiguration, options: { threshold: soon } }]",
      "alerts[0].options.threshold | Write a whole number.",
    ],
    [
      "schedule: { frequency: hourly, minutes: 4 }",
      'schedule.minutes | Unknown key "minutes". Did you mean "minute"?',
    ],
    ["schedule: { frequency: hourly, minute: 75 }", "schedule.minute | Must be at most 59."],
    ["max_delete_percent: -1", "max_delete_percent | Must be at least 0."],
    ["mappings: [{ colum: a, to: b }]", 'mappings[0].colum | Unknown key "colum". Did you mean "column"?'],
    ["mappings: [1]", "mappings[0] | Write a column name, or a map with `column` and `to`."],
    [`label: "${"x".repeat(201)}"`, "label | Must have at most 200 characters."],
  ])("%j is told with its place and its fix", (fields, said) => {
    expect(faults(`, ${fields}`)).toContain(`syncs.a.${said}`);
  });

  test.each<[string, string]>([
    ["batch_size: 0", "batch_size | Must be at least 1."],
    ["row_results: { path: a }", 'row_results.path | Unknown key "path". Known: results_path'],
    ["oauth: { token: a }", 'oauth.token | Unknown key "token". Known: token_url'],
    ["payload: { xml: a }", "payload | Write `columns`, `form` or `empty`, or a map with `json` or `field`."],
    ["paylod: form", 'paylod | Unknown key "paylod". Did you mean "payload"?'],
  ])("%j of a destination is told so, too", (fields, said) => {
    const found = faults("", `, ${fields}`);
    expect(found.map((fault) => fault.slice(0, `destinations.ops.${said}`.length))).toContain(
      `destinations.ops.${said}`,
    );
  });
});
