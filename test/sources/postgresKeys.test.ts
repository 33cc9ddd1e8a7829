import { beforeAll, describe, expect, test } from "vitest";
import type { Mapping } from "../../src/domain/configuration.ts";
import { RunFailure } from "../../src/domain/errors.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { type EngineFixture, makeSync, openEngine } from "../engine/fixture.ts";

let engine: EngineFixture;
let nextSync = 300;
beforeAll(async () => {
  engine = await openEngine();
  await engine.onSource("create extension if not exists citext").catch(() => undefined);
});

async function keyOf(expression: string): Promise<{ key: string | undefined; field: unknown }> {
  nextSync += 1;
  const sync = makeSync({
    sourceUrl: engine.sourceUrl,
    syncId: nextSync,
    object: { type: "model", modelId: 1, name: "one", query: `select ${expression} as k` },
    mappings: [{ column: "k", to: "whatever", key: true }],
  });
  const run = await engine.plan(sync);
  const [record] = await engine.records(run.runId);
  const batch = await engine.database.db
    .selectFrom("egret.batches")
    .select("keys")
    .where("run_id", "=", run.runId)
    .executeTakeFirst();
  return { key: batch?.keys?.[0], field: record?.["unique_id"] };
}

function failureOf(mappings: Mapping[], columns: [string, string][]): RunFailure {
  try {
    const sync = makeSync({ sourceUrl: "postgres://unused", mappings });
    postgresSource.compile(
      sync,
      columns.map(([name, type]) => ({ name, type })),
    );
  } catch (error) {
    if (error instanceof RunFailure) return error;
    throw error;
  }
  throw new Error("it compiled");
}

describe("the sync key", () => {
  test.each<[string, string, string, unknown]>([
    ["text", "' Ünï 鍵\t\\\"'::text", ' Ünï 鍵\t\\"', ' Ünï 鍵\t\\"'],
    ["an empty text", "''::text", "", ""],
    ["varchar", "'a'::varchar(9)", "a", "a"],
    ["char", "'a'::char(3)", "a", "a  "],
    ["smallint", "7::smallint", "7", 7],
    ["integer", "-7", "-7", -7],
    ["bigint", "9007199254740993::bigint", "9007199254740993", "9007199254740993"],
    ["numeric", "1.500::numeric", "1.5", "1.5"],
    ["a whole numeric", "7.00::numeric", "7", 7],
    ["numeric with a scale", "1.5::numeric(9,3)", "1.5", "1.500"],
    [
      "uuid",
      "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
      "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
      "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ],
    ["date", "date '2026-02-01'", "2026-02-01", "2026-02-01"],
    ["timestamp", "timestamp '2026-02-01 10:00:00.5'", "2026-02-01T10:00:00.5", "2026-02-01 10:00:00.5"],
    [
      "timestamp with time zone",
      "timestamptz '2026-02-01 10:00:00+02'",
      "2026-02-01T08:00:00Z",
      "2026-02-01 08:00:00 UTC",
    ],
  ])("may be %s, and travels as unique_id", async (_type, expression, key, field) => {
    expect(await keyOf(expression)).toEqual({ key, field });
  });

  test.each([
    "boolean",
    "real",
    "double precision",
    "json",
    "jsonb",
    "integer[]",
    "bytea",
    "interval",
    "point",
    "mood",
  ])("is refused as %s", (type) => {
    const failure = failureOf([{ column: "k", to: "k", key: true }], [["k", type]]);
    expect(failure).toMatchObject({
      runCode: "CONFIG_INVALID",
      message: `Column k of type ${type} cannot be the sync key`,
      detail: expect.stringContaining("cast it to text"),
    });
  });

  test("may be citext, wherever its extension lives", () => {
    const sync = makeSync({
      sourceUrl: "postgres://unused",
      mappings: [{ column: "k", to: "k", key: true }],
    });
    for (const type of ["citext", "extensions.citext"]) {
      expect(postgresSource.compile(sync, [{ name: "k", type }]).keysSql).toContain(
        '::text COLLATE "C" AS key',
      );
    }
  });
});

describe("compile", () => {
  const columns: [string, string][] = [
    ["id", "integer"],
    ["plan", "text"],
  ];
  const key: Mapping = { column: "id", to: "id", key: true };

  test("names a mapped column that is gone", () => {
    expect(failureOf([key, { column: "plan_tier", to: "tier" }], columns)).toMatchObject({
      runCode: "SOURCE_COLUMN_MISSING",
      message: "Mapped column plan_tier no longer exists in the source",
      detail: "Remove or change the mapping of plan_tier",
    });
  });

  test.each<[string, Mapping[], string]>([
    ["no key", [{ column: "plan", to: "plan" }], "has no sync key"],
    ["two keys", [key, { column: "plan", to: "plan", key: true }], "has 2 sync keys: id, plan"],
    [
      "one field twice",
      [key, { column: "plan", to: "a" }, { constant: 1, to: "a" }],
      "Two mappings write the field a",
    ],
    [
      "the key's field again",
      [key, { column: "plan", to: "unique_id" }],
      "Two mappings write the field unique_id",
    ],
    ["a name that Postgres would cut", [key, { column: "plan", to: "x".repeat(64) }], "too long"],
  ])("refuses %s", (_what, mappings, message) => {
    const failure = failureOf(mappings, columns);
    expect(failure.runCode).toBe("CONFIG_INVALID");
    expect(failure.message).toContain(message);
  });

  test("gives the same fingerprint for another order of mappings, another one for another mapping", () => {
    const fingerprint = (mappings: Mapping[]) =>
      postgresSource.compile(
        makeSync({ sourceUrl: "postgres://unused", mappings }),
        columns.map(([name, type]) => ({ name, type })),
      ).fingerprint;
    const plan: Mapping = { column: "plan", to: "plan" };
    expect(fingerprint([key, plan])).toEqual(fingerprint([plan, key]));
    expect(fingerprint([key, plan])).not.toEqual(fingerprint([key, { ...plan, to: "tier" }]));
  });

  test("keeps hostile names and constants inside their quotes", async () => {
    await engine.onSource(`create table "wei""rd; --" ("i'd" int, "a""b" text)`);
    await engine.onSource(`insert into "wei""rd; --" values (1, 'x')`);
    const sync = makeSync({
      sourceUrl: engine.sourceUrl,
      syncId: 299,
      object: { type: "table", schema: "public", table: 'wei"rd; --' },
      mappings: [
        { column: "i'd", to: "id", key: true },
        { column: 'a"b', to: 'f"; drop table x; --' },
        { constant: "'; drop table x; --\\", to: "c'" },
      ],
    });
    const run = await engine.plan(sync);
    expect(await engine.records(run.runId)).toEqual([
      { unique_id: 1, 'f"; drop table x; --': "x", "c'": "'; drop table x; --\\" },
    ]);
  });
});
