import { beforeAll, describe, expect, test } from "vitest";
import type { Mapping } from "../../src/domain/configuration.ts";
import { RunFailure } from "../../src/domain/errors.ts";
import type { FieldType } from "../../src/domain/fieldTypes.ts";
import { openRecords, type Records } from "./records.ts";

let source: Records;
beforeAll(async () => {
  source = await openRecords();
});

const column = (name: string, more: object = {}): Mapping => ({ column: name, to: name, ...more });

describe("a record made by the source", () => {
  test("is used as it stands when columns, constants and facts of the run fill it", async () => {
    const mappings: Mapping[] = [
      { constant: "airport", to: "kind" },
      { constant: 5, to: "number" },
      { constant: true, to: "yes" },
      { constant: null, to: "nothing" },
      { constant: "2026-02-01T02:00:00+02:00", basic_type: "datetime", to: "since" },
      { metadata: "sync_run_id", to: "run" },
      { metadata: "sync_id", to: "sync" },
      { metadata: "sync_run_started_at", to: "run_at" },
      column("v"),
    ];
    const sync = source.sync("select 1 as id, 1.50::numeric(5,2) as v", mappings);
    expect((await source.compile(sync)).buildRecord).toBeUndefined();
    expect(await source.one("select 1 as id, 1.50::numeric(5,2) as v", mappings)).toBe(
      '{"unique_id":1,"kind":"airport","nothing":null,"number":5,"run":7011,"run_at":"2026-02-03 10:00:00 UTC","since":"2026-02-01 00:00:00 UTC","sync":1,"v":"1.50","yes":true}',
    );
  });

  test("leaves out fields that are null where the mapping says so, and sends other nulls", async () => {
    const query = `select * from (values (1, null::text, null::int, '{"x":null}'::jsonb, 'a'), (2, 'b', 7, 'null'::jsonb, null)) as t (id, a, b, c, d)`;
    const mappings = [
      column("a", { sync_null_values: false }),
      column("b", { sync_null_values: false }),
      column("c", { sync_null_values: false }),
      column("d"),
    ];
    const sync = source.sync(query, mappings);
    expect((await source.compile(sync)).buildRecord).toBeUndefined();
    expect(await source.made(sync)).toMatchObject([
      { record: '{"c":{"x": null},"d":"a","unique_id":1}' },
      { record: '{"a":"b","b":7,"d":null,"unique_id":2}' },
    ]);
  });

  test("leaves every field out but the key's", async () => {
    const mappings = [column("a", { sync_null_values: false }), column("z", { sync_null_values: false })];
    expect(await source.one("select 1 as id, null::text as a, null::text as z", mappings)).toBe(
      '{"unique_id":1}',
    );
  });

  test("of hundreds of fields that null leaves out", async () => {
    const names = Array.from({ length: 250 }, (_, at) => `c${String(at).padStart(3, "0")}`);
    const values = names.map((name, at) => `${at % 3 === 0 ? "null::int" : at} as ${name}`);
    const record = await source.one(
      `select 1 as id, ${values.join(", ")}`,
      names.map((name) => column(name, { sync_null_values: false })),
    );
    expect(Object.keys(JSON.parse(record) as object)).toHaveLength(1 + 250 - 84);
  });

  test("of hundreds of fields by turns kept as null and left out", async () => {
    const names = Array.from({ length: 300 }, (_, at) => `c${String(at).padStart(3, "0")}`);
    const values = names.map((name, at) => `${at % 3 === 0 ? "null::int" : at} as ${name}`);
    const record = await source.one(
      `select 1 as id, ${values.join(", ")}`,
      names.map((name, at) => column(name, at % 2 === 0 ? { sync_null_values: false } : {})),
    );
    const expected = names.flatMap((name, at): [string, number | null][] =>
      at % 3 > 0 ? [[name, at]] : at % 2 === 0 ? [] : [[name, null]],
    );
    expect(Object.entries(JSON.parse(record) as object)).toEqual([...expected, ["unique_id", 1]]);
  });

  test("writes timestamps as ISO 8601 when asked, keys too", async () => {
    const query = `select timestamp '2026-02-01 00:00:00.125' as id, timestamptz '2026-02-01 01:30+02' as t, 'infinity'::timestamptz as f,
      timestamp '0044-03-15 10:00 BC' as b, date '2026-02-01' as d`;
    const mappings: Mapping[] = [
      ...["t", "f", "b", "d"].map((name) => column(name)),
      { metadata: "sync_run_started_at", to: "at" },
    ];
    expect(JSON.parse(await source.one(query, mappings, { timestamp_format: "iso8601" }))).toEqual({
      unique_id: "2026-02-01T00:00:00.125",
      t: "2026-01-31T23:30:00Z",
      f: "infinity",
      b: "0044-03-15T10:00:00 BC",
      d: "2026-02-01",
      at: "2026-02-03T10:00:00Z",
    });
  });

  test("keeps the order of the mappings when asked", async () => {
    const mappings = [column("z"), { constant: 1, to: "one" }, column("a")];
    const record = await source.one("select 1 as id, 2 as a, 3 as z", mappings, {
      field_order: "mapping_order",
    });
    expect(Object.keys(JSON.parse(record) as object)).toEqual(["unique_id", "z", "one", "a"]);
  });
});

describe("a record with templates", () => {
  test("renders them over values as records show them, between fields whose bytes stay the source's", async () => {
    const query = `select 1 as id, '{"n": 12345678901234567890, "2":1, "1":2}'::json as before, 'Ann@X.com'::text as email,
      12.50::numeric(5,2) as amount, timestamptz '2026-02-01 00:00Z' as t, '["a","b"]'::jsonb as tags, null::text as none, 9007199254740993 as zz`;
    const mappings: Mapping[] = [
      column("before"),
      {
        template: "{{ record['email'] | downcase }} {{ record['amount'] }} {{ record['none'] }}",
        to: "greeting",
      },
      { template: "{{ record['tags'] | join: '+' }}", to: "tagged" },
      { template: "{{ record['t'] }}", to: "time" },
      column("zz"),
    ];
    expect(await source.one(query, mappings)).toBe(
      '{"before":{"n": 12345678901234567890, "2":1, "1":2},"greeting":"ann@x.com 12.50 ","unique_id":1,"tagged":"a+b","time":"2026-02-01 00:00:00 UTC","zz":"9007199254740993"}',
    );
  });

  test("uses columns of any name, and the key's column", async () => {
    const mappings: Mapping[] = [
      {
        template:
          "{{ record['__proto__'] }}{{ record['鍵 ✓'] }}{{ record['it''s'] }}{{ record['id'] }}".replace(
            "''",
            "\\'",
          ),
        to: "all",
      },
    ];
    const query = `select 7 as id, 'p' as "__proto__", 'k' as "鍵 ✓", 's' as "it's"`;
    expect(await source.one(query, mappings)).toBe('{"all":"pks7","unique_id":7}');
  });

  test("sets a row aside whose template fails, and says why without a value of it", async () => {
    const query = `select * from (values (1, '{"city":"Oslo"}'::jsonb), (2, '{"town":"Secret"}')) as t (id, data)`;
    const rows = await source.made(
      source.sync(query, [{ template: "{{ record['data'].city }}", to: "city" }]),
    );
    expect(rows).toMatchObject([
      { key: "1", record: '{"city":"Oslo","unique_id":1}' },
      {
        key: "2",
        invalid:
          "Field city: The template failed: it uses something that this record does not have (line 1, column 4)",
      },
    ]);
  });

  test("gives templates another type when asked", async () => {
    const mappings: Mapping[] = [
      { template: "{{ record['n'] | times: 2 }}", to: "double", field_type: "integer" },
      { template: '{"a": [{{ record["n"] }}]}', to: "nested", field_type: "object" },
    ];
    expect(await source.one("select 1 as id, 21 as n", mappings)).toBe(
      '{"double":42,"unique_id":1,"nested":{"a": [21]}}',
    );
  });

  test("may cut a long column short; a record or a row that is too long is set aside", async () => {
    const query = "select n as id, repeat('鍵', n * 1000000) as big from generate_series(1, 2) n";
    const cut: Mapping[] = [{ template: "{{ record['big'] | slice: 0, 3 }}", to: "small" }];
    expect(await source.made(source.sync(query, cut))).toMatchObject([
      { key: "1", record: '{"unique_id":1,"small":"鍵鍵鍵"}' },
      { key: "2", invalid: "The row is longer than 4194304 bytes" },
    ]);
    const whole: Mapping[] = [column("big"), { template: "x", to: "small" }];
    expect(await source.faultOf("select 1 as id, repeat('x', 1048576) as big", whole)).toBe(
      "The record is longer than 1048576 bytes",
    );
  });
});

describe("a cast", () => {
  const cast = async (expression: string, field_type: FieldType): Promise<string> =>
    (await source.one(`select 1 as id, ${expression} as v`, [column("v", { field_type })])).replace(
      /^\{"unique_id":1,"v":|\}$/g,
      "",
    );

  test.each<[FieldType, string, string]>([
    ["boolean", "'Yes'::text", "true"],
    ["boolean", "0", "false"],
    ["boolean", "true", "true"],
    ["decimal", "12.50::numeric(5,2)", '"12.50"'],
    ["decimal", "' 7 '::text", '"7"'],
    ["decimal", "9007199254740993", '"9007199254740993"'],
    ["float", "'1.25'::text", "1.25"],
    ["float", "12.50::numeric(5,2)", "12.5"],
    ["integer", "'42'::text", "42"],
    ["integer", "12.00::numeric(5,2)", "12"],
    ["integer", "1e3::float8", "1000"],
    ["date", "timestamptz '2026-02-01 01:00+02'", '"2026-01-31"'],
    ["date", "date '2024-02-29'", '"2024-02-29"'],
    ["date_time", "timestamp '2026-02-01 10:00:00.123456'", '"2026-02-01T10:00:00.123456Z"'],
    ["date_time", "timestamptz '2026-02-01 01:00+02'", '"2026-01-31T23:00:00Z"'],
    ["date_time", "'2026-02-01T10:00:00-05:30'::text", '"2026-02-01T15:30:00Z"'],
    ["date_time", "date '2026-02-01'", '"2026-02-01T00:00:00Z"'],
    ["string", "42", '"42"'],
    ["string", "true", '"true"'],
    ["string", `'{"n": 12345678901234567890}'::json`, '"{\\"n\\": 12345678901234567890}"'],
    ["object", `'{"n": 12345678901234567890, "n": 1}'::text`, '{"n": 12345678901234567890, "n": 1}'],
    ["object", `'{"b": 1, "a": 12345678901234567890}'::jsonb`, '{"a": 12345678901234567890, "b": 1}'],
    ["object", `'"{\\"a\\":1}"'::jsonb`, '{"a":1}'],
    ["array", "' [1, 2] '::text", "[1, 2]"],
    ["array", "array[1, 2]", "[1,2]"],
    ...(
      ["boolean", "decimal", "float", "integer", "date", "date_time", "string", "object", "array"] as const
    ).map((type): [FieldType, string, string] => [type, "null::text", "null"]),
  ])("to %s takes %s", async (type, expression, expected) => {
    expect(await cast(expression, type)).toBe(expected);
  });

  test.each<[FieldType, string]>([
    ["boolean", "'secret'::text"],
    ["boolean", "2"],
    ["decimal", "'secret'::text"],
    ["decimal", "'NaN'::numeric"],
    ["float", "'Infinity'::float8"],
    ["float", "'1e999'::text"],
    ["float", "''::text"],
    ["integer", "'12.5'::text"],
    ["integer", "9007199254740993"],
    ["integer", "true"],
    ["date", "'2026-02-30'::text"],
    ["date", "date '0044-03-15 BC'"],
    ["date", "'infinity'::date"],
    ["date_time", "'secret'::text"],
    ["date_time", "1770000000"],
    ["object", "'{secret}'::text"],
    ["object", "'[1]'::text"],
    ["object", "array[1]"],
    ["array", "'{}'::text"],
    ["array", "5"],
    ["array", "'secret'::text"],
  ])("to %s sets a row aside for %s", async (field_type, expression) => {
    const code =
      field_type === "object" || field_type === "array" ? `JSON_${field_type.toUpperCase()}_ERROR: ` : "";
    const fault = await source.faultOf(`select 1 as id, ${expression} as v`, [column("v", { field_type })]);
    expect(fault).toMatch(new RegExp(`^Field v: ${code}the value is no `));
    expect(fault).not.toContain("secret");
  });

  test("of null leaves the field out where the mapping says so", async () => {
    const mappings = [column("v", { field_type: "integer", sync_null_values: false })];
    expect(await source.one("select 1 as id, null::text as v", mappings)).toBe('{"unique_id":1}');
  });
});

describe("sync_all_properties", () => {
  const all = { field_behavior: "sync_all_properties" } as const;

  test("sends every column of the source as it is now, besides what is listed", async () => {
    await source.onSource("create table growing as select 1 as id, 'a' as \"accountSize\", 'b' as plan_name");
    const sync = source.sync(
      "select * from growing",
      [
        { column: "plan_name", to: "tier" },
        { constant: 1, to: "c" },
      ],
      all,
    );
    expect(await source.made(sync)).toMatchObject([
      { record: '{"accountSize":"a","c":1,"unique_id":1,"tier":"b"}' },
    ]);
    const before = await source.compile(sync);
    await source.onSource("alter table growing add column added text default 'new'");
    expect(await source.made(sync)).toMatchObject([
      { record: '{"accountSize":"a","added":"new","c":1,"unique_id":1,"tier":"b"}' },
    ]);
    const after = await source.compile(sync);
    expect(Object.keys(after.fingerprint.fields)).toEqual(
      [...Object.keys(before.fingerprint.fields), "added"].sort(),
    );
    expect(after.fingerprint.columns).toEqual(["accountSize", "added", "id", "plan_name"]);
  });

  test("names fields as asked", async () => {
    const record = await source.one('select 1 as id, 2 as "accountSize", 3 as "PLAN_NAME"', [], {
      ...all,
      field_normalization: "camel_case",
    });
    expect(JSON.parse(record)).toEqual({ unique_id: 1, accountSize: 2, planName: 3 });
  });

  test("refuses names that meet", async () => {
    const sync = source.sync('select 1 as id, 2 as "a_b", 3 as "aB"', [], {
      ...all,
      field_normalization: "snake_case",
    });
    const thrown = await source.compile(sync).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(RunFailure);
    expect((thrown as RunFailure).message).toBe("Two mappings write the field a_b: of a_b and of aB");
    expect((thrown as RunFailure).runCode).toBe("CONFIG_INVALID");
  });
});

describe("compile", () => {
  test("hashes the columns that templates use, and nothing that no mapping uses", async () => {
    const sync = source.sync("select 1 as id, 2 as used, 3 as both, 4 as unused", [
      { template: "{{ record['used'] }}{{ record['both'] }}", to: "t" },
      column("both"),
    ]);
    const { fingerprint, keysSql } = await source.compile(sync);
    expect(fingerprint.columns).toEqual(["both", "id", "used"]);
    expect(keysSql.replace(/FROM[\s\S]*/, "")).not.toContain("unused");
  });

  test("tells another template, cast, null rule or timestamp form apart, and no other order", async () => {
    const fields = async (mapping: Mapping, options = {}) =>
      (await source.compile(source.sync("select 1 as id, now() as v, 2 as w", [mapping], options)))
        .fingerprint.fields["f"];
    const v: Mapping = { column: "v", to: "f" };
    const seen = [
      await fields(v),
      await fields({ ...v, field_type: "string" }),
      await fields({ ...v, sync_null_values: false }),
      await fields(v, { timestamp_format: "iso8601" }),
      await fields({ column: "w", to: "f" }),
      await fields({ template: "{{ record['v'] }}", to: "f" }),
      await fields({ template: "{{ record['v']}}", to: "f" }),
      await fields({ template: "{{ record['v'] }}", to: "f" }, { timestamp_format: "iso8601" }),
      await fields({ metadata: "sync_id", to: "f" }),
      await fields({ constant: "v", to: "f" }),
    ];
    expect(new Set(seen).size).toBe(seen.length);
    expect(await fields({ column: "w", to: "f" }, { timestamp_format: "iso8601" })).toBe(seen[4]);
    expect(await fields(v, { field_order: "mapping_order" })).toBe(seen[0]);
  });

  test("refuses a template over a column that is gone, and one that cannot be used", async () => {
    const faults = async (template: string) => {
      const sync = source.sync("select 1 as id", [{ template, to: "t" }]);
      const thrown = await source.compile(sync).catch((error: unknown) => error);
      return thrown instanceof RunFailure ? `${thrown.runCode}: ${thrown.message}` : thrown;
    };
    expect(await faults("{{ record['gone'] }}")).toBe(
      "SOURCE_COLUMN_MISSING: Column gone, which the template of t uses, does not exist in the source",
    );
    expect(await faults("{{ record }}")).toMatch(/^CONFIG_INVALID: The mapping of t cannot be performed: /);
  });

  test("says how a key stands in a record, from its text", async () => {
    const cases: [type: string, value: string][] = [
      ["text", "'it''s \"x\"'"],
      ["integer", "-7"],
      ["bigint", "9007199254740991"],
      ["bigint", "9007199254740993"],
      ["numeric", "12"],
      ["numeric", "12.5"],
      ["numeric(6,2)", "12.50"],
      ["numeric(20,0)", "90071992547409930"],
      ["uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
      ["date", "'2026-02-01'"],
      ["timestamp", "'2026-02-01 10:00:00.5'"],
      ["timestamp", "'0044-03-15 10:00 BC'"],
      ["timestamptz", "'2026-02-01 10:00:00.5+02'"],
      ["timestamptz", "'0044-03-15 10:00Z BC'"],
      ["timestamptz", "'infinity'"],
    ];
    for (const timestamp_format of ["space_separated", "iso8601"] as const) {
      for (const [type, value] of cases) {
        const sync = source.sync(`select ${value}::${type} as id`, [], { timestamp_format });
        const [row] = await source.made(sync);
        const { keyJsonSql } = await source.compile(sync);
        const { rows } = await source.onSource(
          `select ${keyJsonSql("k.key")} as json from (values ('${row?.key.replaceAll("'", "''")}'::text)) as k (key)`,
        );
        expect(`{"unique_id":${rows[0].json}}`, `${type} ${value}`).toBe(
          row !== undefined && "record" in row && row.record,
        );
      }
    }
  });

  test("hashes by other columns beside its own, for as long as they are there", async () => {
    const sync = source.sync("select 1 as id, 2 as a, 3 as b", [column("a")]);
    const other = source.sync("select 1 as id, 2 as a, 3 as b", [column("b")]);
    const hashOf = async (s: typeof sync) =>
      (await source.onSource((await source.compile(s)).keysSql)).rows[0].hash;
    const { rehashSql } = await source.compile(sync);
    const sql = rehashSql((await source.compile(other)).fingerprint.columns) ?? "";
    expect((await source.onSource(sql)).rows).toEqual([
      { key: "1", previous: await hashOf(other), hash: await hashOf(sync) },
    ]);
    expect(rehashSql(["gone"])).toBeNull();
  });
});
