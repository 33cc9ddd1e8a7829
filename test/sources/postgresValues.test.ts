import { beforeAll, describe, expect, test } from "vitest";
import { type EngineFixture, makeSync, openEngine } from "../engine/fixture.ts";

let engine: EngineFixture;
let nextSync = 100;
beforeAll(async () => {
  engine = await openEngine();
});

/** The record that a destination gets for one value, and its text. */
async function valueOf(expression: string): Promise<unknown> {
  nextSync += 1;
  const sync = makeSync({
    sourceUrl: engine.sourceUrl,
    syncId: nextSync,
    object: { type: "model", modelId: 1, name: "one", query: `select 1 as id, ${expression} as v` },
    mappings: [
      { column: "id", to: "id", key: true },
      { column: "v", to: "v" },
    ],
  });
  const run = await engine.plan(sync);
  const [record] = await engine.records(run.runId);
  await engine.end(sync, run);
  return record?.["v"];
}

/** Plans two versions of one value and says whether the second is seen as a change. */
async function isSeenAsChange(before: string, after: string): Promise<boolean> {
  nextSync += 1;
  const parts = { sourceUrl: engine.sourceUrl, syncId: nextSync };
  const mappings = [
    { column: "id", to: "id", key: true },
    { column: "v", to: "v" },
  ];
  const syncOf = (expression: string) =>
    makeSync({
      ...parts,
      mappings,
      object: { type: "model", modelId: 1, name: "one", query: `select 1 as id, ${expression} as v` },
    });
  const first = syncOf(before);
  await engine.end(first, await engine.plan(first));
  const second = syncOf(after);
  const run = await engine.plan(second);
  await engine.end(second, run);
  return run.updates === 1;
}

describe("values in a record", () => {
  test.each<[string, string, unknown]>([
    ["text as string", "'a \"quoted\" \\ tab\t and 鍵'::text", 'a "quoted" \\ tab\t and 鍵'],
    ["an empty text as an empty string", "''::text", ""],
    ["NULL as null", "null::text", null],
    ["a boolean as boolean", "true", true],
    ["a small integer as number", "(-7)::smallint", -7],
    ["a large integer that JSON keeps exact as number", "9007199254740991::bigint", 9007199254740991],
    ["an integer beyond 2^53 as string", "9007199254740993::bigint", "9007199254740993"],
    ["a numeric without scale as number", "12::numeric", 12],
    ["a numeric with scale as string", "12.50::numeric(10,2)", "12.50"],
    ["a numeric beyond 2^53 as string", "90071992547409930::numeric", "90071992547409930"],
    ["a numeric that is not a number as string", "'NaN'::numeric", "NaN"],
    ["a float as number", "1.5::float8", 1.5],
    ["a float's shortest exact digits", "0.1::float8", 0.1],
    ["a float NaN as string", "'NaN'::float8", "NaN"],
    ["a float infinity as string", "'-Infinity'::float4", "-Infinity"],
    ["a date", "date '2026-02-01'", "2026-02-01"],
    ["a timestamp with a space", "timestamp '2026-02-01 00:00:00'", "2026-02-01 00:00:00"],
    ["a timestamp with its fraction", "timestamp '2026-02-01 00:00:00.125'", "2026-02-01 00:00:00.125"],
    ["an instant in UTC, saying so", "timestamptz '2026-02-01 01:30:00+02'", "2026-01-31 23:30:00 UTC"],
    ["an endless instant", "'infinity'::timestamptz", "infinity"],
    ["jsonb nested", `'{"a": [1, null]}'::jsonb`, { a: [1, null] }],
    ["json nested", `'{"a" : "x\\ny"}'::json`, { a: "x\ny" }],
    ["text that looks like JSON as text", `'{"a": 1}'::text`, '{"a": 1}'],
    ["an array nested", "array[1, null, 3]", [1, null, 3]],
    ["an array of texts nested", "array['a', 'b,\"c']", ["a", 'b,"c']],
    ["a row nested", "row(1, 'x')", { f1: 1, f2: "x" }],
    [
      "bytea in base64 without line breaks",
      "decode(repeat('00ff', 60), 'hex')",
      Buffer.from("00ff".repeat(60), "hex").toString("base64"),
    ],
    ["an interval in ISO 8601", "interval '1 day 02:03:04'", "P1DT2H3M4S"],
    ["a uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    ["what has no JSON form as Postgres' text", "point(1,2)", "(1,2)"],
    [
      "text with control characters",
      "E'a\\x01\\x1f\\b\\f\\r\\n\\x7f\\u2028'",
      "a\u0001\u001f\b\f\r\n\u007f\u2028",
    ],
    [
      "text of every plane",
      "'e\u0301 \u05d0\u05d1 \u{10400} 👩‍👩‍👧‍👦 🏳️‍🌈'::text",
      "e\u0301 \u05d0\u05d1 \u{10400} 👩‍👩‍👧‍👦 🏳️‍🌈",
    ],
    ["a date before our era", "date '0044-03-15 BC'", "0044-03-15 BC"],
    ["a timestamp before our era", "timestamp '0044-03-15 10:00 BC'", "0044-03-15 10:00:00 BC"],
    ["an endless date", "'-infinity'::date", "-infinity"],
    ["an endless timestamp", "'infinity'::timestamp", "infinity"],
    ["a year beyond four digits", "date '12026-01-01'", "12026-01-01"],
    ["an infinite numeric as string", "'Infinity'::numeric", "Infinity"],
    ["the largest float", "1.7976931348623157e308::float8", 1.7976931348623157e308],
    ["a negative numeric with scale as string", "(-0.10)::numeric(4,2)", "-0.10"],
    ["the last of jsonb's duplicate keys", `'{"a": 1, "b": 2, "a": 3}'::jsonb`, { a: 3, b: 2 }],
    ["json's duplicate keys, of which readers take the last", `'{"a": 1, "a": 3}'::json`, { a: 3 }],
    ["JSON null as null", "'null'::jsonb", null],
    [
      "arrays of arrays",
      "array[[1, 2], [3, null]]",
      [
        [1, 2],
        [3, null],
      ],
    ],
    ["floats that are no numbers within an array as strings", "array['NaN'::float8, 1.5]", ["NaN", 1.5]],
    [
      "rows and arrays within rows",
      "row(1, array[row('x', null), row('y', array[2])], '{\"k\": [true]}'::jsonb)",
      {
        f1: 1,
        f2: [
          { f1: "x", f2: null },
          { f1: "y", f2: [2] },
        ],
        f3: { k: [true] },
      },
    ],
  ])("writes %s", async (_what, expression, expected) => {
    expect(await valueOf(expression)).toEqual(expected);
  });

  test("are ordered by source column, whatever the fields are called, constants by their field", async () => {
    await engine.onSource("create table ordered (zeta int, alpha int, middle int)");
    await engine.onSource("insert into ordered values (1, 2, 3)");
    const sync = makeSync({
      sourceUrl: engine.sourceUrl,
      syncId: 90,
      object: { type: "table", schema: "public", table: "ordered" },
      mappings: [
        { column: "zeta", to: "a" },
        { column: "middle", to: "id", key: true },
        { constant: 'it\'s \\ "fixed"', to: "note" },
        { column: "alpha", to: "z" },
      ],
    });
    const run = await engine.plan(sync);
    const [record] = await engine.records(run.runId);
    expect(Object.entries(record ?? {})).toEqual([
      ["z", 2],
      ["unique_id", 3],
      ["note", 'it\'s \\ "fixed"'],
      ["a", 1],
    ]);
  });
});

describe("the row hash", () => {
  test.each([
    ["the case of a text", "'a'::text", "'A'::text"],
    ["NULL and the empty text", "null::text", "''::text"],
    ["the keys of a json", `'{"a":1}'::json`, `'{"a":2}'::json`],
    ["a point", "point(1,2)", "point(1,3)"],
    ["one interval written as another", "interval '1 day'", "interval '24 hours'"],
    ["an array", "array[1,2]", "array[2,1]"],
    ["a composite", "row(1,'a')", "row(1,'b')"],
  ])("tells apart %s", async (_what, before, after) => {
    expect(await isSeenAsChange(before, after)).toBe(true);
  });

  test.each([
    ["the white space of a json", `'{"a":1}'::json`, `'{ "a" : 1 }'::json`],
    [
      "the same instant in another zone",
      "timestamptz '2026-02-01 00:00+00'",
      "timestamptz '2026-02-01 02:00+02'",
    ],
  ])("takes for the same %s", async (_what, before, after) => {
    expect(await isSeenAsChange(before, after)).toBe(false);
  });

  test("does not depend on the settings of the source's role", async () => {
    const expressions =
      "0.1::float8 as f, timestamptz '2026-02-01 00:00+00' as t, point(0.1, 1) as p, interval '1 day' as i";
    await engine.onSource(`create table pinned as select 1 as id, ${expressions}`);
    const sync = makeSync({
      sourceUrl: engine.sourceUrl,
      syncId: 91,
      object: { type: "table", schema: "public", table: "pinned" },
      mappings: [
        { column: "id", to: "id", key: true },
        ...["f", "t", "p", "i"].map((c) => ({ column: c, to: c })),
      ],
    });
    await engine.end(sync, await engine.plan(sync));
    const url = new URL(engine.sourceUrl);
    const settings =
      "-c TimeZone=Asia/Tokyo -c extra_float_digits=-5 -c DateStyle=German -c IntervalStyle=postgres_verbose";
    url.searchParams.set("options", settings);
    const run = await engine.plan({ ...sync, source: { ...sync.source, url: url.href } });
    expect(run).toMatchObject({ fullSync: false, updates: 0 });
  });
});

describe("sync keys", () => {
  const keys = [
    "plain",
    "",
    " ",
    "É",
    "E\u0301",
    "ё",
    "ἀρχή",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "สวัสดี",
    "汉字",
    "漢字",
    "한글",
    "ひらがな",
    "ไ\u200bย",
    "👍",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "\u{10ffff}",
    "a\tb\nc",
    "NULL",
    '{"a":1}',
    "'; drop table t; --",
    "\\",
  ];

  test("of every script and with emoji each name one row, run after run", async () => {
    await engine.onSource("create table scripts (id text primary key, plan text)");
    await engine.onSource("insert into scripts select k, k from unnest($1::text[]) k", [keys]);
    const sync = makeSync({
      sourceUrl: engine.sourceUrl,
      syncId: 92,
      object: { type: "table", schema: "public", table: "scripts" },
    });
    const first = await engine.plan(sync);
    expect(first).toMatchObject({ updates: keys.length, invalids: 0 });
    const records = await engine.records(first.runId);
    expect(new Set(records.map((record) => record["unique_id"]))).toEqual(new Set(keys));
    for (const record of records) expect(record["plan"]).toBe(record["unique_id"]);
    await engine.end(sync, first);
    await engine.onSource("update scripts set plan = 'new' where id = any ($1)", [
      ["👍🏽", "E\u0301", "'; drop table t; --"],
    ]);
    const second = await engine.plan(sync);
    const changed = (await engine.records(second.runId)).map((record) => record["unique_id"]);
    expect(new Set(changed)).toEqual(new Set(["'; drop table t; --", "E\u0301", "👍🏽"]));
    await engine.end(sync, second);
  });
});
