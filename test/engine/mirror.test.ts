import { beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import type { SyncOptions } from "../../src/domain/syncOptions.ts";
import { type EngineFixture, makeSync, openEngine, type SentBatch } from "./fixture.ts";

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
});

interface Mirrored {
  sync: Sync;
  table: string;
}

/** A mirror of a table of its own. */
async function mirrorOf(
  createSql: string,
  { batchSize = 100, options = {} }: { batchSize?: number; options?: Partial<SyncOptions> } = {},
): Promise<Mirrored> {
  lastSync += 1;
  const table = `m${lastSync}`;
  await engine.onSource(`create table ${table} ${createSql}`);
  const object = { type: "table", schema: "public", table } as const;
  const parts = { sourceUrl: engine.sourceUrl, syncId: lastSync, operation: "mirror", object } as const;
  return { table, sync: makeSync({ ...parts, batchSize, options }) };
}

/** The same with rows 1 to `rows` accepted. */
async function accepted(rows: number, options: Parameters<typeof mirrorOf>[1] = {}): Promise<Mirrored> {
  const made = await mirrorOf(`as select i as id, 'p' as plan from generate_series(1, ${rows}) i`, options);
  await engine.end(made.sync, await engine.plan(made.sync));
  return made;
}

const idsOf = (batches: SentBatch[], operation: string) =>
  batches
    .filter((batch) => batch.operation === operation)
    .flatMap(({ data }) => data.map((record) => record["unique_id"]));
const isDelete = ({ operation }: SentBatch) => operation === "deleted";

describe("a mirror", () => {
  test("sends changed batches first and deleted ones after, each of one kind and with the key alone", async () => {
    const { sync, table } = await accepted(10, { batchSize: 2 });
    await engine.onSource(`delete from ${table} where id > 7`);
    await engine.onSource(`update ${table} set plan = 'q' where id < 4`);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 3, deletes: 3, batches: 4 });
    const batches = await engine.sent(run.runId);
    expect(batches.map((batch) => [batch.operation, batch.data.length])).toEqual([
      ["changed", 2],
      ["changed", 1],
      ["deleted", 2],
      ["deleted", 1],
    ]);
    expect(
      batches
        .filter(isDelete)
        .flatMap(({ data }) => data)
        .toSorted(byId),
    ).toEqual([{ unique_id: 8 }, { unique_id: 9 }, { unique_id: 10 }]);
    await engine.end(sync, run);
    expect(await engine.plan(sync)).toMatchObject({ updates: 0, deletes: 0, batches: 0 });
  });

  test("deletes everything when the source is empty, and sends it again when it comes back", async () => {
    const { sync, table } = await accepted(5);
    await engine.onSource(`create table kept_${table} as select * from ${table}; delete from ${table}`);
    const emptied = await engine.plan(sync);
    expect(emptied).toMatchObject({ fullSync: false, sourceRecordCount: 0, updates: 0, deletes: 5 });
    await engine.end(sync, emptied);
    await engine.onSource(`insert into ${table} select * from kept_${table}`);
    expect(await engine.plan(sync)).toMatchObject({ fullSync: false, updates: 5, deletes: 0 });
  });

  test("keeps a key whose delete was rejected, and tries again", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(`delete from ${table} where id = 2`);
    await engine.end(sync, await engine.plan(sync), "rejected");
    expect(await engine.state(sync.id)).toEqual(["1", "2", "3"]);
    const again = await engine.plan(sync);
    expect(idsOf(await engine.sent(again.runId), "deleted")).toEqual([2]);
    await engine.end(sync, again);
    expect(await engine.state(sync.id)).toEqual(["1", "3"]);
  });

  test("takes a key that comes back before its delete was accepted for what it is: unchanged or changed", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(`delete from ${table} where id < 3`);
    await engine.end(sync, await engine.plan(sync), "rejected");
    await engine.onSource(`insert into ${table} values (1, 'p'), (2, 'other')`);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 1, deletes: 0 });
    expect(idsOf(await engine.sent(run.runId), "changed")).toEqual([2]);
  });

  test("sends a key again that comes back after a delete of which nobody knows what became", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(`delete from ${table} where id = 1`);
    await engine.end(sync, await engine.plan(sync), "unavailable", { fails: true });
    await engine.onSource(`insert into ${table} values (1, 'p')`);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 1, deletes: 0 });
    expect(idsOf(await engine.sent(run.runId), "changed")).toEqual([1]);
  });

  test("does not delete a key that several rows have, and deletes a row whose key became NULL", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(
      `insert into ${table} values (1, 'again'); update ${table} set id = null where id = 3`,
    );
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 0, deletes: 1, invalids: 3 });
    expect(idsOf(await engine.sent(run.runId), "deleted")).toEqual([3]);
  });

  test("takes a changed key for one that is gone and one that is new", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(`update ${table} set id = 30 where id = 3`);
    const batches = await engine.sent((await engine.plan(sync)).runId);
    expect([idsOf(batches, "changed"), idsOf(batches, "deleted")]).toEqual([[30], [3]]);
  });

  test("deletes what left the source in a full sync too, and never what it did not send", async () => {
    const { sync, table } = await accepted(3);
    await engine.onSource(
      `delete from ${table} where id = 1; insert into ${table} values (9, 'n'), (9, 'n')`,
    );
    const run = await engine.plan(sync, { force: true });
    expect(run).toMatchObject({ reasons: ["user_requested"], updates: 2, deletes: 1, invalids: 2 });
    expect(idsOf(await engine.sent(run.runId), "deleted")).toEqual([1]);
  });

  test.each([
    ["text", "'a''\"\\\\ 鍵'::text"],
    ["char", "'a'::char(3)"],
    ["integer", "7"],
    ["a bigint beyond 2^53", "9007199254740993::bigint"],
    ["numeric with a scale", "12.50::numeric(10,2)"],
    ["a whole numeric", "12::numeric"],
    ["numeric without a scale", "12.50::numeric"],
    ["numeric without a scale, of zeros behind the point", "12.00::numeric"],
    ["a long numeric without a scale", "12345678901234567890.10::numeric"],
    ["uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"],
    ["date", "'2020-01-31'::date"],
    ["timestamp", "'2020-01-31 01:02:03.456'::timestamp"],
    ["timestamp with time zone", "'2020-01-31 01:02:03.456+02'::timestamptz"],
  ])("deletes a %s key in the form in which it was sent", async (_what, value) => {
    const { sync, table } = await mirrorOf(`as select ${value} as id, 'p'::text as plan`);
    const first = await engine.plan(sync);
    const [sent] = await engine.records(first.runId);
    await engine.end(sync, first);
    await engine.onSource(`delete from ${table}`);
    const run = await engine.plan(sync);
    expect(await engine.records(run.runId)).toEqual([{ unique_id: sent?.["unique_id"] }]);
  });

  test("deletes keys that do not fit the type that their column has now", async () => {
    const { sync, table } = await mirrorOf(
      "as select 'old-' || i as id, 'p' as plan from generate_series(1, 2) i",
    );
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource(`delete from ${table}; alter table ${table} alter column id type int using null`);
    await engine.onSource(`insert into ${table} values (1, 'p')`);
    const batches = await engine.sent((await engine.plan(sync)).runId);
    expect(idsOf(batches, "changed")).toEqual([1]);
    expect(new Set(idsOf(batches, "deleted"))).toEqual(new Set(["old-1", "old-2"]));
  });

  test("deletes more keys than are held in memory, each once", async () => {
    const { sync, table } = await accepted(60_000, { batchSize: 1_000 });
    await engine.onSource(`delete from ${table} where id > 5000`);
    const run = await engine.plan(sync);
    expect(run).toMatchObject({ updates: 0, deletes: 55_000, batches: 55 });
    const deleted = idsOf(await engine.sent(run.runId), "deleted").map(Number);
    expect(new Set(deleted).size).toBe(55_000);
    expect(Math.min(...deleted)).toBe(5_001);
    await engine.end(sync, run);
    expect(await engine.state(sync.id)).toHaveLength(5_000);
  });
});

const byId = (a: Record<string, unknown>, b: Record<string, unknown>) =>
  Number(a["unique_id"]) - Number(b["unique_id"]);

describe("send_full_record_on_delete", () => {
  const options = { send_full_record_on_delete: true };

  test("sends the last accepted record of a row, not one that was rejected", async () => {
    const { sync, table } = await accepted(3, { options, batchSize: 1 });
    await engine.onSource(`update ${table} set plan = 'accepted' where id = 1`);
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource(`update ${table} set plan = 'rejected'`);
    await engine.end(sync, await engine.plan(sync), "rejected");
    await engine.onSource(`delete from ${table}`);
    const run = await engine.plan(sync);
    expect((await engine.records(run.runId)).toSorted(byId)).toEqual([
      { unique_id: 1, plan: "accepted" },
      { unique_id: 2, plan: "p" },
      { unique_id: 3, plan: "p" },
    ]);
  });

  test("keeps records only while it is on, and sends keys alone for rows accepted while it was off", async () => {
    const { sync, table } = await accepted(2, { options });
    const off: Sync = { ...sync, options: { ...sync.options, send_full_record_on_delete: false } };
    await engine.onSource(`update ${table} set plan = 'off' where id = 1`);
    await engine.end(off, await engine.plan(off));
    const columns = await engine.database.pool.query(
      "select 1 from pg_attribute where attrelid = $1::regclass and attname = 'record' and not attisdropped",
      [`egret_state.rows_${sync.id}`],
    );
    expect(columns.rowCount).toBe(0);
    await engine.onSource(`insert into ${table} values (3, 'on')`);
    await engine.end(sync, await engine.plan(sync));
    await engine.onSource(`delete from ${table}`);
    const run = await engine.plan(sync);
    expect((await engine.records(run.runId)).toSorted(byId)).toEqual([
      { unique_id: 1 },
      { unique_id: 2 },
      { unique_id: 3, plan: "on" },
    ]);
  });
});

describe("max_delete_percent", () => {
  test("fails a run that would delete a larger share, before anything is written", async () => {
    const { sync, table } = await accepted(10, { options: { max_delete_percent: 20 } });
    await engine.onSource(`delete from ${table} where id <= 3; update ${table} set plan = 'q'`);
    await expect(engine.plan(sync)).rejects.toMatchObject({
      runCode: "DELETE_GUARD",
      message: expect.stringContaining("3 of 10 rows sent before (30 %)"),
      detail: expect.stringContaining("--allow-deletes"),
    });
    const { rows } = await engine.database.pool.query(
      "select count(*) as plans from egret.plans p join egret.batches b using (run_id) where b.sync_id = $1",
      [sync.id],
    );
    expect(rows[0]).toEqual({ plans: 1 });
    expect(await engine.plan(sync, { allowDeletes: true })).toMatchObject({ updates: 7, deletes: 3 });
  });

  test("lets a run pass that deletes exactly that share", async () => {
    const { sync, table } = await accepted(10, { options: { max_delete_percent: 20 } });
    await engine.onSource(`delete from ${table} where id <= 2`);
    expect(await engine.plan(sync)).toMatchObject({ deletes: 2 });
  });

  test("holds in a full sync, and for an empty source", async () => {
    const { sync, table } = await accepted(10, { options: { max_delete_percent: 50 } });
    await engine.onSource(`delete from ${table}`);
    await expect(engine.plan(sync, { force: true })).rejects.toMatchObject({ runCode: "DELETE_GUARD" });
    await expect(engine.plan(sync)).rejects.toMatchObject({ runCode: "DELETE_GUARD" });
  });

  test("refuses every delete when it is 0", async () => {
    const { sync, table } = await accepted(10, { options: { max_delete_percent: 0 } });
    await engine.onSource(`delete from ${table} where id = 1`);
    await expect(engine.plan(sync)).rejects.toMatchObject({ runCode: "DELETE_GUARD" });
  });
});
