import { beforeAll, describe, expect, test } from "vitest";
import type { Mapping, Sync } from "../../src/domain/configuration.ts";
import { type EngineFixture, makeSync, openEngine } from "./fixture.ts";

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
});

const key: Mapping = { column: "id", to: "unique_id", key: true };
const plan: Mapping = { column: "plan", to: "plan" };
const city: Mapping = { column: "city", to: "city" };

/** A sync of five rows, all of them accepted with these mappings. */
async function accepted(mappings: Mapping[], operation: Sync["operation"] = "upsert") {
  lastSync += 1;
  const table = `f${lastSync}`;
  await engine.onSource(
    `create table ${table} as
     select i as id, i + 100 as other, 'p' as plan, 'c' as city from generate_series(1, 5) i`,
  );
  const object = { type: "table", schema: "public", table } as const;
  const parts = { sourceUrl: engine.sourceUrl, syncId: lastSync, operation, object } as const;
  const sync = makeSync({ ...parts, batchSize: 1, mappings });
  await engine.end(sync, await engine.plan(sync));
  return { sync, table };
}

const ids = async (runId: number) =>
  (await engine.records(runId)).map((record) => Number(record["unique_id"])).toSorted((a, b) => a - b);

describe("a full sync by itself", () => {
  test.each<[string, (sync: Sync) => Partial<Sync>]>([
    ["mapping_added", () => ({ mappings: [key, plan, city] })],
    ["mapping_added", () => ({ mappings: [key, plan, { constant: 1, to: "one" }] })],
    ["mapping_changed", () => ({ mappings: [key, { column: "city", to: "plan" }] })],
    ["mapping_changed", () => ({ mappings: [key, { column: "plan", to: "tier" }] })],
    ["sync_key_changed", () => ({ mappings: [{ column: "other", to: "unique_id", key: true }, plan] })],
    ["operation_changed", () => ({ operation: "mirror" })],
    ["destination_changed", (sync) => ({ destination: { ...sync.destination, id: 6 } })],
  ])("says %s, sends every row, and is over with a committed run", async (reason, change) => {
    const { sync } = await accepted([key, plan]);
    const changed = { ...sync, ...change(sync) };
    const run = await engine.plan(changed);
    expect(run).toMatchObject({ fullSync: true, updates: 5 });
    expect(run.reasons).toContain(reason);
    await engine.end(changed, run);
    expect(await engine.plan(changed)).toMatchObject({ fullSync: false, reasons: [], updates: 0 });
  });

  test("is asked for again by a run that failed", async () => {
    const { sync } = await accepted([key, plan]);
    const changed = { ...sync, mappings: [key, plan, city] };
    await engine.end(changed, await engine.plan(changed), "accepted", { fails: true });
    expect(await engine.plan(changed)).toMatchObject({ reasons: ["mapping_added"], updates: 5 });
  });

  test("says state_missing when the state is lost", async () => {
    const { sync } = await accepted([key, plan]);
    await engine.database.pool.query(`drop table egret_state.rows_${sync.id}`);
    expect(await engine.plan(sync)).toMatchObject({ reasons: ["state_missing"], updates: 5 });
  });

  test("names every reason there is", async () => {
    const { sync } = await accepted([key, plan]);
    const changed: Sync = { ...sync, operation: "mirror", mappings: [key, city] };
    const run = await engine.plan(changed, { force: true });
    expect(run.reasons).toEqual(["operation_changed", "mapping_added", "user_requested"]);
  });

  test("finds rows again that were rejected in it, though they are as they were accepted before", async () => {
    const { sync } = await accepted([key, plan]);
    const changed = { ...sync, mappings: [key, plan, { constant: 1, to: "one" }] };
    await engine.end(changed, await engine.plan(changed), ({ data }) =>
      data[0]?.["unique_id"] === 2 ? "rejected" : "accepted",
    );
    const next = await engine.plan(changed);
    expect(next).toMatchObject({ fullSync: false, updates: 1 });
    expect(await ids(next.runId)).toEqual([2]);
    await engine.end(changed, next);
    expect(await engine.plan(changed)).toMatchObject({ updates: 0 });
  });

  test("of a mirror deletes nothing at another destination that only the first one had", async () => {
    const { sync, table } = await accepted([key, plan], "mirror");
    await engine.onSource(`delete from ${table} where id = 1`);
    const moved: Sync = { ...sync, destination: { ...sync.destination, id: 6 } };
    const run = await engine.plan(moved);
    expect(run).toMatchObject({ reasons: ["destination_changed"], updates: 4, deletes: 0 });
    await engine.end(moved, run);
    expect(await engine.state(sync.id)).toEqual(["2", "3", "4", "5"]);
  });
});

describe("a mapping that is removed", () => {
  test("sends nothing again, and from then on its column does not count", async () => {
    const { sync, table } = await accepted([key, plan, city]);
    const fewer = { ...sync, mappings: [key, plan] };
    const run = await engine.plan(fewer);
    expect(run).toMatchObject({ fullSync: false, reasons: [], updates: 0 });
    await engine.end(fewer, run);
    await engine.onSource(`update ${table} set city = 'elsewhere'`);
    expect(await engine.plan(fewer).then((next) => ended(fewer, next))).toMatchObject({ updates: 0 });
    await engine.onSource(`update ${table} set plan = 'q' where id = 3`);
    const last = await engine.plan(fewer);
    expect(await ids(last.runId)).toEqual([3]);
    expect(await engine.records(last.runId)).toEqual([{ unique_id: 3, plan: "q" }]);
  });

  test("sends what changed in the same run, and finds it again when it is rejected", async () => {
    const { sync, table } = await accepted([key, plan, city]);
    await engine.onSource(
      `update ${table} set plan = 'q' where id in (1, 2); insert into ${table} values (6)`,
    );
    const fewer = { ...sync, mappings: [key, plan] };
    const run = await engine.plan(fewer);
    expect(await ids(run.runId)).toEqual([1, 2, 6]);
    await engine.end(fewer, run, ({ data }) => (data[0]?.["unique_id"] === 1 ? "rejected" : "accepted"));
    const next = await engine.plan(fewer);
    expect(await ids(next.runId)).toEqual([1]);
  });

  test("holds for a run that failed after its plan", async () => {
    const { sync, table } = await accepted([key, plan, city]);
    await engine.onSource(`update ${table} set plan = 'q' where id = 1`);
    const fewer = { ...sync, mappings: [key, plan] };
    await engine.end(fewer, await engine.plan(fewer), "unavailable", { fails: true });
    const next = await engine.plan(fewer);
    expect(next).toMatchObject({ fullSync: false, reasons: [] });
    expect(await ids(next.runId)).toEqual([1]);
  });

  test("is a full sync where its column went from the source with it", async () => {
    const { sync, table } = await accepted([key, plan, city]);
    await engine.onSource(`alter table ${table} drop column city`);
    const fewer = { ...sync, mappings: [key, plan] };
    const run = await engine.plan(fewer);
    expect(run).toMatchObject({ reasons: ["mapping_changed"], updates: 5 });
    await engine.end(fewer, run);
    expect(await engine.plan(fewer)).toMatchObject({ fullSync: false, updates: 0 });
  });

  test("of which another one shows the column, or that was a constant, costs nothing at all", async () => {
    const again: Mapping = { column: "plan", to: "plan_again" };
    const { sync } = await accepted([key, plan, again, { constant: 1, to: "one" }]);
    const before = await xmins(sync.id);
    const fewer = { ...sync, mappings: [key, plan] };
    const run = await engine.plan(fewer);
    expect(run).toMatchObject({ fullSync: false, updates: 0 });
    await engine.end(fewer, run);
    expect(await xmins(sync.id)).toEqual(before);
    expect(await engine.plan({ ...sync, mappings: [key, plan, again] })).toMatchObject({
      reasons: ["mapping_added"],
    });
  });
});

/** The transaction that wrote each row of the state. */
async function xmins(syncId: number): Promise<string[]> {
  const { rows } = await engine.database.pool.query<{ xmin: string }>(
    `select xmin::text from egret_state.rows_${syncId} order by key`,
  );
  return rows.map(({ xmin }) => xmin);
}

async function ended<T extends Awaited<ReturnType<EngineFixture["plan"]>>>(sync: Sync, run: T): Promise<T> {
  await engine.end(sync, run);
  return run;
}

describe("rows whose fate nobody knows", () => {
  test("are sent again even when the source goes back to what was accepted last", async () => {
    const { sync, table } = await accepted([key, plan]);
    await engine.onSource(`update ${table} set plan = 'q' where id = 1`);
    await engine.end(sync, await engine.plan(sync), "unavailable", { fails: true });
    await engine.onSource(`update ${table} set plan = 'p' where id = 1`);
    expect(await ids((await engine.plan(sync)).runId)).toEqual([1]);
  });

  test("are not sent again after a rejection when the source goes back", async () => {
    const { sync, table } = await accepted([key, plan]);
    await engine.onSource(`update ${table} set plan = 'q' where id = 1`);
    await engine.end(sync, await engine.plan(sync), "rejected");
    await engine.onSource(`update ${table} set plan = 'p' where id = 1`);
    expect(await engine.plan(sync)).toMatchObject({ updates: 0 });
  });
});
