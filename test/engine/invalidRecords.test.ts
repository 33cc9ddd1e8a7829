import { beforeAll, describe, expect, test } from "vitest";
import type { Mapping } from "../../src/domain/configuration.ts";
import { type EngineFixture, makeSync, openEngine } from "./fixture.ts";

let engine: EngineFixture;
beforeAll(async () => {
  engine = await openEngine();
});

const KEY: Mapping = { column: "id", to: "unique_id", key: true };

async function syncOn(syncId: number, createSql: string, mappings: Mapping[]) {
  const table = `t${syncId}`;
  await engine.onSource(`create table ${table} ${createSql}`);
  return makeSync({
    sourceUrl: engine.sourceUrl,
    syncId,
    object: { type: "table", schema: "public", table },
    mappings: [KEY, ...mappings],
  });
}

async function invalidRows(runId: number) {
  return engine.database.db
    .selectFrom("egret.invalid_rows")
    .select(["identifier", "status", "message"])
    .where("run_id", "=", runId)
    .orderBy("identifier")
    .execute();
}

const ids = (records: Record<string, unknown>[]) =>
  records.map((record) => Number(record["unique_id"])).sort((a, b) => a - b);

describe("a row whose record cannot be made", () => {
  test("is set aside with its reason, looked at in every run, and sent once it can be", async () => {
    const sync = await syncOn(
      1,
      "as select n as id, case when n = 2 then '[secret' else '[1]' end as v from generate_series(1, 3) n",
      [{ column: "v", to: "v", field_type: "array" }],
    );
    const first = await engine.plan(sync);
    expect(first).toMatchObject({ updates: 2, invalids: 1 });
    expect(ids(await engine.records(first.runId))).toEqual([1, 3]);
    const reason = {
      identifier: "2",
      status: "INVALID",
      message: "Field v: JSON_ARRAY_ERROR: the value is no JSON array",
    };
    expect(await invalidRows(first.runId)).toEqual([reason]);
    await engine.end(sync, first);

    const second = await engine.plan(sync);
    expect(second).toMatchObject({ fullSync: false, updates: 0, invalids: 1 });
    expect(await invalidRows(second.runId)).toEqual([reason]);
    await engine.end(sync, second);

    await engine.onSource("update t1 set v = '[2]' where id = 2");
    const third = await engine.plan(sync);
    expect(await engine.records(third.runId)).toEqual([{ unique_id: 2, v: [2] }]);
    await engine.end(sync, third);
  });

  test("that has become so keeps its accepted state", async () => {
    const sync = await syncOn(2, 'as select 1 as id, \'{"city": "Oslo"}\'::jsonb as data', [
      { template: "{{ record['data'].city }}", to: "city" },
    ]);
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource("update t2 set data = '{}'");
    const second = await engine.plan(sync);
    expect(second).toMatchObject({ updates: 0, invalids: 1 });
    await engine.end(sync, second);
    await engine.onSource(`update t2 set data = '{"city": "Oslo"}'`);
    const third = await engine.plan(sync);
    expect(third).toMatchObject({ updates: 0, invalids: 0 });
    await engine.end(sync, third);
  });

  test("leaves nothing to send when every row of a table is so", async () => {
    const sync = await syncOn(3, "as select n as id, 'x' as v from generate_series(1, 5000) n", [
      { column: "v", to: "v", field_type: "integer" },
    ]);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ sourceRecordCount: 5_000, updates: 0, invalids: 5_000, batches: 0 });
    expect(await invalidRows(run.runId)).toHaveLength(5_000);
    await engine.end(sync, run);
  });
});

describe("a row of two megabytes", () => {
  const createSql =
    "as select n as id, case when n = 2 then repeat('x', 2000000) else 'small' end as v from generate_series(1, 3) n";

  test.each<[string, number, Mapping[]]>([
    ["made by the source", 4, [{ column: "v", to: "v" }]],
    [
      "made here",
      5,
      [
        { column: "v", to: "v" },
        { template: "t", to: "t" },
      ],
    ],
  ])("%s is set aside, and the others travel", async (_what, syncId, mappings) => {
    const sync = await syncOn(syncId, createSql, mappings);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 2, invalids: 1 });
    expect(ids(await engine.records(run.runId))).toEqual([1, 3]);
    expect(await invalidRows(run.runId)).toEqual([
      { identifier: "2", status: "INVALID", message: "The record is longer than 1048576 bytes" },
    ]);
    await engine.end(sync, run);
  });
});

describe("a column that only a template uses", () => {
  test("is compared, and nothing that is rendered is: the run's own facts send no row again", async () => {
    const sync = await syncOn(
      6,
      "as select n as id, 'a' as used, 'b' as unused from generate_series(1, 2) n",
      [
        { template: "{{ record['used'] }} {{ 'now' | date: '%s %L' }}", to: "t" },
        { metadata: "sync_run_id", to: "run" },
      ],
    );
    const first = await engine.plan(sync);
    expect(await engine.records(first.runId)).toMatchObject([{ run: first.runId }, { run: first.runId }]);
    await engine.end(sync, first);
    await engine.onSource("update t6 set unused = 'c'");
    const second = await engine.plan(sync);
    expect(second).toMatchObject({ fullSync: false, updates: 0 });
    await engine.end(sync, second);
    await engine.onSource("update t6 set used = 'c' where id = 2");
    const third = await engine.plan(sync);
    expect(ids(await engine.records(third.runId))).toEqual([2]);
    await engine.end(sync, third);
  });
});

describe("sync_all_properties", () => {
  test("takes a new column for an added mapping, and sends every row with it", async () => {
    const sync = await syncOn(7, "as select n as id, 'a' as v from generate_series(1, 2) n", []);
    const all = { ...sync, options: { ...sync.options, field_behavior: "sync_all_properties" as const } };
    await engine.end(all, await engine.plan(all));
    await engine.onSource("alter table t7 add column w int default 5");
    const second = await engine.plan(all);
    expect(second).toMatchObject({ fullSync: true, reasons: ["mapping_added"], updates: 2 });
    expect(await engine.records(second.runId)).toContainEqual({ unique_id: 1, v: "a", w: 5 });
    await engine.end(all, second);
  });
});
