import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { hasChanges, planChanges } from "../../src/configuration/plan.ts";
import { findSync, findWorkspace } from "../../src/configuration/store.ts";
import { type Mapping, mappingSchema, type Sync } from "../../src/domain/configuration.ts";
import { InvalidInput } from "../../src/domain/errors.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { testDatabase } from "../support/namespace.ts";

const box = openSecretBox([randomBytes(32).toString("base64")]);
let database: OpenDatabase;
let url = "";
beforeAll(async () => {
  ({ url } = await testDatabase({ migrated: true }));
  database = openDatabase(url);
  return () => database.close();
});

function fileOf(
  workspace: string,
  fields: string,
  query = 'select 1 as id, \'a\' as "accountName", 2 as "account_name", 3 as plan',
) {
  const text = `workspace: ${workspace}
sources:
  warehouse: { type: postgres, url: \${URL} }
models:
  rows: { source: warehouse, query: ${JSON.stringify(query)} }
destinations:
  hook: { type: webhook, url: https://ops.example/in }
syncs:
  a:
    model: rows
    destination: hook
    key: id
${fields.replace(/^/gm, "    ")}
`;
  return parseEgretFile(text, "egret.yaml", { env: { URL: url }, allowHttp: false });
}

const planOf = (file: ReturnType<typeof fileOf>) =>
  planChanges({ db: database.db, box, file, describe: postgresSource.describeObject });

/** Applies, reads the sync back, and finds nothing to apply again. */
async function applied(workspace: string, fields: string): Promise<Sync> {
  await applyChanges({
    db: database.db,
    box,
    plan: await planOf(fileOf(workspace, fields)),
    actor: "egret apply",
  });
  expect(hasChanges(await planOf(fileOf(workspace, fields)))).toBe(false);
  const found = await findWorkspace(database.db, workspace);
  const sync = await findSync(database.db, box, { workspaceId: found?.id ?? 0, nameOrId: "a" });
  if (sync === null) throw new Error("the sync is not there");
  return sync;
}

async function faults(fields: string, query?: string): Promise<string[]> {
  try {
    await planOf(fileOf("faulty", fields, query));
  } catch (error) {
    if (error instanceof InvalidInput)
      return error.problems.map(({ field, message }) => `${field} | ${message}`);
    throw error;
  }
  return [];
}

const key: Mapping = { column: "id", to: "unique_id", key: true };

describe("mappings in egret.yaml", () => {
  test("may be columns, constants, templates and facts of the run, and are stored as they are", async () => {
    const sync = await applied(
      "kinds",
      `mappings:
  - plan
  - { column: accountName, to: name, sync_null_values: false, field_type: object }
  - { column: account_name, to: n, sync_null_values: true, field_type: integer }
  - { constant: 5, to: five, basic_type: number }
  - { constant: "2026-02-01", to: since, basic_type: datetime }
  - { template: "{{ record['accountName'] | upcase }}", to: upper }
  - { template: "{{ record['plan'] }}", to: planned, field_type: integer }
  - { metadata: sync_run_id, to: run }`,
    );
    expect(sync.mappings).toEqual([
      key,
      { column: "plan", to: "plan" },
      { column: "accountName", to: "name", sync_null_values: false, field_type: "object" },
      { column: "account_name", to: "n", field_type: "integer" },
      { constant: 5, to: "five" },
      { constant: "2026-02-01", to: "since", basic_type: "datetime" },
      { template: "{{ record['accountName'] | upcase }}", to: "upper" },
      { template: "{{ record['plan'] }}", to: "planned", field_type: "integer" },
      { metadata: "sync_run_id", to: "run" },
    ]);
  });

  test("that an earlier version stored are read as they are", () => {
    const stored: Mapping[] = [key, { column: "a", to: "b" }, { constant: null, to: "c" }];
    expect(stored.map((mapping) => mappingSchema.parse(mapping))).toEqual(stored);
  });

  test("are every column of today when the file names none", async () => {
    const sync = await applied("today", "label: x");
    expect(sync.mappings).toEqual([
      key,
      ...["accountName", "account_name", "plan"].map((name) => ({ column: name, to: name })),
    ]);
  });

  test("are kept without the columns that sync_all_properties looks up at each run", async () => {
    const all = "field_behavior: sync_all_properties";
    expect((await applied("all", all)).mappings).toEqual([key]);
    const listed = `${all}\nfield_normalization: snake_case\nmappings: [{ column: accountName, to: other }]`;
    expect((await applied("all", listed)).mappings).toEqual([key, { column: "accountName", to: "other" }]);
  });
});

describe("I12: faulty mappings in egret.yaml", () => {
  const one = (mapping: string) => `mappings: [${mapping}]`;
  const twenty = "x".repeat(21);

  test.each([
    [
      one("{ column: plan, constant: 1, to: a }"),
      "A mapping has one of `column`, `constant`, `template` and `metadata`.",
    ],
    [one("{ to: a }"), "A mapping has one of `column`, `constant`, `template` and `metadata`."],
    [one("{ metadata: run, to: a }"), "syncs.a.mappings[0].metadata"],
    [one("{ column: plan, to: a, field_type: text }"), "syncs.a.mappings[0].field_type"],
    [
      one("{ column: plan, to: a, basic_type: text }"),
      "basic_type | egret.yaml:13:51: Only a mapping with `constant` has it",
    ],
    [one("{ constant: 1, to: a, field_type: string }"), "Only a mapping with `column` or `template` has it"],
    [one("{ template: x, to: a, sync_null_values: false }"), "Only a mapping with `column` has it"],
    [one("{ constant: 1, to: a, basic_type: text }"), "The constant is no text; put it in quotes"],
    [
      one('{ constant: "1", to: a, basic_type: number }'),
      "The constant is no number; write it without quotes",
    ],
    [one("{ constant: 1, to: a, basic_type: boolean }"), "Write true or false without quotes"],
    [one("{ constant: 2026-02-30, to: a, basic_type: datetime }"), "Write a date or a timestamp in quotes"],
    [one(`{ column: plan, to: ${twenty.repeat(4)} }`), "has at most 63 bytes"],
    [
      one("{ column: gone, to: a }"),
      'There is no column "gone". Known: id, accountName, account_name, plan.',
    ],
    [
      one(`{ template: "{{ record['pln'] }}", to: a }`),
      'mappings[0].template | egret.yaml:13:28: There is no column "pln". Did you mean "plan"?',
    ],
    [one('{ template: "{{ plan }}", to: a }'), "nothing is called plan; write record['COLUMN']"],
    [one('{ template: "{{ record }}", to: a }'), "record needs the name of a column"],
    [one('{ template: "{% include x %}", to: a }'), 'tag "include" not found'],
    [one('{ template: "{% if true %}", to: a }'), "not closed"],
    [one(`{ template: "${"x".repeat(65_537)}", to: a }`), "longer than 65536 bytes"],
    ["field_normalization: snake_case", "It names fields of `field_behavior: sync_all_properties`"],
    [
      "field_behavior: sync_all_properties\nfield_normalization: camel_case",
      'The columns "accountName" and "account_name" would both fill the field "accountName"; list one in `mappings` under another name.',
    ],
    [
      "field_behavior: sync_all_properties\nmappings: [{ constant: 1, to: plan }]",
      'The column "plan" would fill the field "plan", as a mapping does',
    ],
  ])("%s", async (fields, message) => {
    expect((await faults(fields)).join("\n")).toContain(message);
  });

  test("of a column that would take the key's field", async () => {
    const all = "field_behavior: sync_all_properties\nfield_normalization: snake_case";
    expect(await faults(all, 'select 1 as id, 2 as "uniqueId"')).toEqual([
      expect.stringContaining(
        'The column "uniqueId" cannot travel as "unique_id", which is that of the key "id"',
      ),
    ]);
  });
});
