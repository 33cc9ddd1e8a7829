import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { Unavailable } from "../../src/domain/errors.ts";
import { acceptTrigger } from "../../src/engine/claims.ts";
import { findPlan, planRun } from "../../src/engine/plan.ts";
import { readBatch, runTotals } from "../../src/engine/settle.ts";
import { endLockHolders } from "../support/namespace.ts";
import { type EngineFixture, makeSync, openEngine, openSnapshot } from "./fixture.ts";

let engine: EngineFixture;
beforeAll(async () => {
  engine = await openEngine();
});

/** A table of its own and a sync on it. */
async function syncOn(syncId: number, createSql: string, batchSize = 100) {
  const table = `t${syncId}`;
  await engine.onSource(`create table ${table} ${createSql}`);
  return makeSync({
    sourceUrl: engine.sourceUrl,
    syncId,
    batchSize,
    object: { type: "table", schema: "public", table },
  });
}

async function invalidRows(runId: number) {
  return engine.database.db
    .selectFrom("egret.invalid_rows")
    .select(["identifier", "status", "rows"])
    .where("run_id", "=", runId)
    .orderBy("status")
    .orderBy("identifier")
    .execute();
}

const ids = (records: Record<string, unknown>[]) => records.map((record) => record["unique_id"]);

describe("planRun", () => {
  test("sends every row the first time, then only what is new or changed", async () => {
    const sync = await syncOn(1, "as select i as id, 'plan ' || i as plan from generate_series(1, 10) i");
    const first = await engine.plan(sync);
    expect(first).toMatchObject({
      fullSync: true,
      reasons: ["first_run"],
      sourceRecordCount: 10,
      updates: 10,
      invalids: 0,
    });
    await engine.end(sync, first);
    await engine.onSource("update t1 set plan = 'gold' where id = 3");
    await engine.onSource("delete from t1 where id = 4");
    await engine.onSource("insert into t1 values (11, 'new')");
    const second = await engine.plan(sync);
    expect(second).toMatchObject({
      fullSync: false,
      reasons: [],
      sourceRecordCount: 10,
      updates: 2,
      batches: 1,
    });
    const records = await engine.records(second.runId);
    expect(records.toSorted((a, b) => Number(a["unique_id"]) - Number(b["unique_id"]))).toEqual([
      { unique_id: 3, plan: "gold" },
      { unique_id: 11, plan: "new" },
    ]);
    await engine.end(sync, second);
    const third = await engine.plan(sync);
    expect(third).toMatchObject({ updates: 0, batches: 0 });
    await engine.end(sync, third);
  });

  test("does not send a row again for a column that is not mapped", async () => {
    const sync = await syncOn(2, "as select 1 as id, 'a' as plan, 1 as other");
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource("update t2 set other = 2");
    expect((await engine.plan(sync)).updates).toBe(0);
  });

  test("writes bodies of the batch size with their hash, to the letter", async () => {
    const sync = await syncOn(3, "as select i as id, 'p' as plan from generate_series(1, 5) i", 2);
    const run = await engine.plan(sync);
    expect(run.batches).toBe(3);
    const batch = await readBatch(engine.database.pool, run.runId, 1);
    expect(batch?.body?.toString("utf8")).toBe(
      '{"api_version":1,"operation":"changed","sync_run_at":"2026-02-03T10:00:00Z","connection_name":"Ops hook",' +
        '"model_name":null,"schema_name":"public","table_name":"t3","sync_configuration_id":3,' +
        '"sync_configuration_name":null,"data":[{"unique_id":1,"plan":"p"},{"unique_id":2,"plan":"p"}]}',
    );
    expect(batch?.bodySha256).toBe(
      createHash("sha256")
        .update(batch?.body ?? "")
        .digest("hex"),
    );
    expect((await readBatch(engine.database.pool, run.runId, 3))?.records).toBe(1);
    expect(await readBatch(engine.database.pool, run.runId, 4)).toBeNull();
    expect((await runTotals(engine.database.db, run.runId)).open).toEqual({ batches: 3, records: 5 });
  });

  test("keeps keys of every script, with quotes, escapes and white space, apart and exact", async () => {
    const keys = [
      "a",
      "A",
      " a",
      "a ",
      "tab\there",
      "new\nline",
      "back\\slash",
      "\\N",
      "\\.",
      '"',
      "'",
      "{}",
      ",",
      "NULL",
      "",
      "é",
      "e\u0301",
      "鍵",
      "🔑",
      "ключ",
      "مفتاح",
      "\u0001",
      "\u2028",
    ];
    const sync = await syncOn(4, "(id text, plan text)");
    await engine.onSource("insert into t4 select k, '1' from unnest($1::text[]) k", [keys]);
    const first = await engine.plan(sync);
    expect(
      ids(await engine.records(first.runId))
        .map(String)
        .toSorted(),
    ).toEqual(keys.toSorted());
    await engine.end(sync, first);
    expect((await engine.plan(sync)).updates).toBe(0);
  });

  test("finds changed rows by keys of every script", async () => {
    const keys = ['a"b', "a\\b", "a,b", "{x}", "鍵", "x\ny", "", "null", "ok"];
    const sync = await syncOn(5, "(id text, plan text)");
    await engine.onSource("insert into t5 select k, '1' from unnest($1::text[]) k", [keys]);
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource("update t5 set plan = '2' where id <> 'ok'");
    const run = await engine.plan(sync);
    expect(
      ids(await engine.records(run.runId))
        .map(String)
        .toSorted(),
    ).toEqual(keys.filter((key) => key !== "ok").toSorted());
  });

  test("plans an empty source, and one that became empty", async () => {
    const sync = await syncOn(6, "(id int, plan text)");
    expect(await engine.plan(sync)).toMatchObject({
      sourceRecordCount: 0,
      updates: 0,
      invalids: 0,
      batches: 0,
    });
  });

  test("sends everything when asked to, and when the mapping changed", async () => {
    const sync = await syncOn(7, "as select i as id, 'p' as plan from generate_series(1, 5) i");
    await engine.end(sync, await engine.plan(sync));
    const forced = await engine.plan(sync, { force: true });
    expect(forced).toMatchObject({ fullSync: true, reasons: ["user_requested"], updates: 5 });
    await engine.end(sync, forced);
    const renamed = { ...sync, mappings: [sync.mappings[0]!, { column: "plan", to: "tier" }] };
    const changed = await engine.plan(renamed);
    expect(changed).toMatchObject({ fullSync: true, reasons: ["mapping_changed"], updates: 5 });
    await engine.end(renamed, changed);
    expect(await engine.plan(renamed)).toMatchObject({ fullSync: false, updates: 0 });
  });
});

describe("rows set aside", () => {
  const rows = "values (null::int, 'a'), (null, 'b'), (1, 'a'), (1, 'b'), (1, 'b'), (2, 'a')";

  test("are counted one by one in a full sync", async () => {
    const sync = await syncOn(20, `as select column1 as id, column2 as plan from (${rows}) v`);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ sourceRecordCount: 6, updates: 1, invalids: 5 });
    expect(ids(await engine.records(run.runId))).toEqual([2]);
    expect(await invalidRows(run.runId)).toEqual([
      { identifier: "1", status: "DUPLICATE", rows: 3 },
      { identifier: null, status: "NULL", rows: 2 },
    ]);
  });

  test("are found again when the key was accepted while it was single, changed or not", async () => {
    const sync = await syncOn(21, "as select i as id, 'p' as plan from generate_series(1, 5) i");
    await engine.end(sync, await engine.plan(sync));
    // 1 twice as it was, 2 once as it was and once changed, 3 twice changed, 9 new twice, one NULL.
    await engine.onSource(
      "insert into t21 values (1, 'p'), (2, 'q'), (3, 'r'), (9, 'n'), (9, 'n'), (null, 'x')",
    );
    await engine.onSource("update t21 set plan = 'q' where id in (3, 5)");
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ fullSync: false, sourceRecordCount: 11, updates: 1, invalids: 9 });
    expect(ids(await engine.records(run.runId))).toEqual([5]);
    expect((await invalidRows(run.runId)).map((row) => [row.identifier, row.rows])).toEqual([
      ["1", 2],
      ["2", 2],
      ["3", 2],
      ["9", 2],
      [null, 1],
    ]);
  });

  test("are found among new keys alone", async () => {
    const sync = await syncOn(22, "as select i as id, 'p' as plan from generate_series(1, 5) i");
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource("delete from t22 where id = 1");
    await engine.onSource("insert into t22 values (8, 'n'), (9, 'n'), (9, 'm')");
    expect(await engine.plan(sync)).toMatchObject({ fullSync: false, updates: 1, invalids: 2 });
  });

  test("hold keys too long for the state and records too long for a request", async () => {
    const sync = await syncOn(23, "(id text, plan text)");
    await engine.onSource(
      "insert into t23 values (repeat('k', 2001), 'a'), ('big', repeat('x', 1048577)), ('edge', repeat('x', 1048570)), ('ok', 'a')",
    );
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ sourceRecordCount: 4, updates: 1, invalids: 3, batches: 1 });
    expect(ids(await engine.records(run.runId))).toEqual(["ok"]);
    const found = await invalidRows(run.runId);
    expect(found.map((row) => [row.identifier?.slice(0, 4), row.status])).toEqual([
      ["big", "INVALID"],
      ["edge", "INVALID"],
      ["kkkk", "INVALID"],
    ]);
    expect(found[2]?.identifier).toHaveLength(200);
  });

  test("cut a batch before its body is too long", async () => {
    const sync = await syncOn(
      24,
      "as select i as id, repeat('x', 400000) as plan from generate_series(1, 5) i",
    );
    expect(await engine.plan(sync)).toMatchObject({ updates: 5, batches: 3 });
  });
});

describe("more changed rows than are held in memory", () => {
  const all = 120_000;

  test("are sent exactly, when sixty thousand of them changed", async () => {
    const sync = await syncOn(30, `as select i as id, 'p' as plan from generate_series(1, ${all}) i`, 1000);
    const first = await engine.plan(sync);
    expect(first).toMatchObject({ updates: all, batches: 120 });
    await engine.end(sync, first);
    await engine.onSource("update t30 set plan = 'q' where id % 2 = 0");
    await engine.onSource("insert into t30 values (2, 'duplicate'), (3, 'duplicate'), (null, 'x')");
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ fullSync: false, updates: all / 2 - 1, invalids: 5 });
    const sent = ids(await engine.records(run.runId)).map(Number);
    expect(new Set(sent).size).toBe(sent.length);
    expect(sent.every((id) => id % 2 === 0 && id !== 2)).toBe(true);
    await engine.end(sync, run);
    expect(await engine.plan(sync)).toMatchObject({ updates: 0, invalids: 5 });
  });

  test.each([
    ["the source", { keys: 1000, bytes: 1 << 20 }],
    ["our Postgres", { keys: 0, bytes: 0 }],
  ])("are chosen alike by %s", async (place, inMemory) => {
    const syncId = place === "the source" ? 31 : 32;
    const sync = await syncOn(syncId, "as select i as id, 'p' as plan from generate_series(1, 500) i");
    await engine.onSource(`insert into t${syncId} values (7, 'again'), (null, 'x')`);
    // A full sync sends all but those set aside, the next run only those changed.
    const full = await engine.plan(sync, { inMemory });
    expect(full).toMatchObject({ fullSync: true, updates: 499, invalids: 3 });
    expect(ids(await engine.records(full.runId))).not.toContain(7);
    await engine.end(sync, full);
    await engine.onSource(`update t${syncId} set plan = 'q' where id between 5 and 9`);
    const run = await engine.plan(sync, { inMemory });
    expect(
      ids(await engine.records(run.runId))
        .map(String)
        .toSorted(),
    ).toEqual(["5", "6", "8", "9"]);
    await engine.end(sync, run);
    // Where most rows changed, those are listed that did not.
    await engine.onSource(`update t${syncId} set plan = 'r' where id > 10`);
    await engine.onSource(`insert into t${syncId} select 500 + i, 'new' from generate_series(1, 300) i`);
    await engine.onSource(`insert into t${syncId} values (600, 'again'), (20, 'again')`);
    const most = await engine.plan(sync, { inMemory });
    expect(most).toMatchObject({ fullSync: false, invalids: 7 });
    const expected = Array.from({ length: 790 }, (_, index) => index + 11).filter(
      (id) => id !== 20 && id !== 600,
    );
    expect(
      ids(await engine.records(most.runId))
        .map(Number)
        .toSorted((a, b) => a - b),
    ).toEqual(expected);
    await engine.end(sync, most);
    await engine.onSource(`delete from t${syncId} where id in (7, 20, 600) or id is null`);
    await engine.onSource(`update t${syncId} set plan = 's'`);
    expect(await engine.plan(sync, { inMemory })).toMatchObject({ updates: 797, invalids: 0 });
  });
});

describe("a plan", () => {
  async function prepared(syncId: number) {
    const sync = await syncOn(syncId, "as select i as id, 'p' as plan from generate_series(1, 20000) i", 10);
    const { database } = engine;
    const trigger = { workspaceId: 1, commandId: `plan-${syncId}`, syncId };
    const { runId } = (await acceptTrigger(database.db, trigger)) as { runId: number };
    const make = async (signal?: AbortSignal) => {
      const opened = await openSnapshot({ database, sync, runId });
      try {
        const base = { ...opened, database, sync, runId, runAt: new Date(), fullSync: true };
        return await planRun(signal === undefined ? base : { ...base, signal });
      } finally {
        await opened.snapshot.close();
      }
    };
    return { runId, make, database, sync };
  }

  test("is made whole after a crash in the middle of it", async () => {
    const { runId, make, database } = await prepared(40);
    await expect(make(AbortSignal.abort(new Error("the process died")))).rejects.toThrow("the process died");
    expect(await findPlan(database.pool, runId)).toBeNull();
    expect((await runTotals(database.db, runId)).open).toEqual({ batches: 0, records: 0 });
    expect(await make()).toMatchObject({ updates: 20_000, batches: 2_000 });
    expect((await runTotals(database.db, runId)).open).toEqual({ batches: 2_000, records: 20_000 });
  });

  test("is made whole after our Postgres ended the connection in the middle of it", async () => {
    const { runId, make, database, sync } = await prepared(41);
    const opened = await openSnapshot({ database, sync, runId });
    const { snapshot } = opened;
    // The plan's transaction is open by then, and has no batch yet.
    const ending = {
      copyOut: async (query: string) => {
        const stream = await snapshot.copyOut(query);
        expect(await endLockHolders(database.pool)).toBe(1);
        return stream;
      },
    } as typeof snapshot;
    const dying = planRun({
      ...opened,
      database,
      snapshot: ending,
      sync,
      runId,
      runAt: new Date(),
      fullSync: true,
    });
    await expect(dying).rejects.toBeInstanceOf(Unavailable);
    await snapshot.close();
    expect((await runTotals(database.db, runId)).open.batches).toBe(0);
    expect(await make()).toMatchObject({ updates: 20_000, batches: 2_000 });
  });

  test("is one, when two workers make it", async () => {
    const { runId, make, database } = await prepared(42);
    const first = await make();
    const before = await readBatch(database.pool, runId, 1);
    await engine.onSource("update t42 set plan = 'later'");
    expect(await make()).toEqual(first);
    expect(await readBatch(database.pool, runId, 1)).toEqual(before);
    expect(await findPlan(database.pool, runId)).toEqual(first);
  });

  test("is not made from a snapshot that our Postgres lost", async () => {
    const { runId, database, sync } = await prepared(43);
    const opened = await openSnapshot({ database, sync, runId });
    const { snapshot } = opened;
    await database.pool.query(`truncate egret_state.stage_${runId}`);
    const request = { ...opened, database, sync, runId, runAt: new Date(), fullSync: true };
    const planning = planRun(request);
    await expect(planning).rejects.toThrow("take it again");
    await snapshot.close();
  });
});
