import { beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import type { SyncOptions } from "../../src/domain/syncOptions.ts";
import { type EngineFixture, makeSync, openEngine, type PlannedRun, type SentBatch } from "./fixture.ts";

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
});

interface Appended {
  sync: Sync;
  table: string;
}

/** An append of a table of events of its own, one row per request. */
async function events(options: Partial<SyncOptions> = {}, rows = ""): Promise<Appended> {
  lastSync += 1;
  const table = `e${lastSync}`;
  await engine.onSource(`create table ${table} (id int, plan text, at timestamp)`);
  if (rows !== "") await add(table, rows);
  const object = { type: "table", schema: "public", table } as const;
  const parts = { sourceUrl: engine.sourceUrl, syncId: lastSync, operation: "append", object } as const;
  return { table, sync: makeSync({ ...parts, batchSize: 1, options }) };
}

/** Rows as `id@second`, such as "1@10 2@20"; without a second their timestamp is NULL. */
async function add(table: string, rows: string): Promise<void> {
  for (const [id, second] of rows.split(" ").map((row) => row.split("@"))) {
    const at = second === undefined ? null : new Date(Number(second) * 1000).toISOString().replace("Z", "");
    await engine.onSource(`insert into ${table} values ($1, 'p', $2)`, [id === "null" ? null : id, at]);
  }
}

const ids = async ({ runId }: PlannedRun) =>
  (await engine.records(runId)).map((record) => Number(record["unique_id"])).toSorted((a, b) => a - b);

/** Plans, settles as told, commits, and says which ids were sent. */
async function run(
  { sync }: Appended,
  outcome: Parameters<EngineFixture["end"]>[2] = "accepted",
  options: { fails?: boolean } = {},
): Promise<number[]> {
  const planned = await engine.plan(sync);
  const sent = await ids(planned);
  await engine.end(sync, planned, outcome, options);
  return sent;
}

const rejecting =
  (...rejected: number[]) =>
  ({ data }: SentBatch) =>
    rejected.includes(Number(data[0]?.["unique_id"])) ? ("rejected" as const) : ("accepted" as const);

describe("an append", () => {
  test("sends what is there, then each new key once, and no change", async () => {
    const made = await events({}, "1@10 2@20");
    const first = await engine.plan(made.sync);
    expect(first).toMatchObject({ fullSync: true, reasons: ["first_run"], updates: 2 });
    expect((await engine.sent(first.runId)).map(({ operation }) => operation)).toEqual([
      "changed",
      "changed",
    ]);
    await engine.end(made.sync, first);
    await engine.onSource(`update ${made.table} set plan = 'changed'`);
    await add(made.table, "3@5");
    expect(await run(made)).toEqual([3]);
    await engine.onSource(`delete from ${made.table} where id = 1`);
    await run(made);
    await add(made.table, "1@10");
    expect(await run(made)).toEqual([]);
  });

  test("sends a rejected row again until it is accepted", async () => {
    const made = await events({}, "1@10 2@20");
    await run(made, rejecting(2));
    expect(await run(made, rejecting(2))).toEqual([2]);
    expect(await run(made)).toEqual([2]);
    expect(await run(made)).toEqual([]);
  });

  test("skips what is there when told to, duplicates too, and sends what comes later", async () => {
    const made = await events(
      { historical_sync_operation: "skip_current_records" },
      "1@10 2@20 3@30 3@31 null@1",
    );
    const first = await engine.plan(made.sync);
    expect(first).toMatchObject({
      fullSync: true,
      sourceRecordCount: 5,
      updates: 0,
      invalids: 3,
      batches: 0,
    });
    await engine.end(made.sync, first);
    await engine.onSource(`delete from ${made.table} where id = 3 and at > '1970-01-01 00:00:30'`);
    await add(made.table, "4@1");
    const second = await engine.plan(made.sync);
    expect(second).toMatchObject({ fullSync: false, updates: 1 });
    expect(await ids(second)).toEqual([4]);
  });

  test("sends what comes after a first run that found nothing to skip", async () => {
    const made = await events({ historical_sync_operation: "skip_current_records" });
    expect(await run(made)).toEqual([]);
    await add(made.table, "1@10");
    expect(await run(made)).toEqual([1]);
  });

  test("refuses a full sync", async () => {
    const { sync } = await events({}, "1@10");
    await expect(engine.plan(sync, { force: true })).rejects.toMatchObject({
      runCode: "CONFIG_INVALID",
      detail: "Trigger it without force_full_sync",
    });
  });

  test("sends nothing again when a mapping is added or changed", async () => {
    const made = await events({}, "1@10");
    await run(made);
    const { sync } = made;
    const mappings = [sync.mappings[0]!, { column: "plan", to: "tier" }, { constant: 1, to: "one" }];
    expect(await engine.plan({ ...sync, mappings })).toMatchObject({ fullSync: false, updates: 0 });
  });

  test("begins anew at another destination", async () => {
    const made = await events({}, "1@10 2@20");
    await run(made);
    const { sync } = made;
    const moved: Sync = { ...sync, destination: { ...sync.destination, id: 6 } };
    const planned = await engine.plan(moved);
    expect(planned).toMatchObject({ fullSync: true, reasons: ["destination_changed"], updates: 2 });
    await engine.end(moved, planned);
    expect(await engine.plan(moved)).toMatchObject({ fullSync: false, updates: 0 });
  });
});

describe("an append by timestamps", () => {
  const byTime = { high_water_mark_attribute: "at" };

  test("sends each window once: from the last mark to before the largest timestamp", async () => {
    const made = await events(byTime, "1@10 2@20 3@30 4@30");
    const first = await engine.plan(made.sync);
    expect(first).toMatchObject({ fullSync: true, reasons: ["first_run"], sourceRecordCount: 4, updates: 2 });
    await engine.end(made.sync, first);
    // Nothing has a larger timestamp yet: the rows at the mark wait.
    expect(await run(made)).toEqual([]);
    await add(made.table, "5@40 6@25");
    const second = await engine.plan(made.sync);
    expect(second).toMatchObject({ fullSync: false, sourceRecordCount: 6, updates: 2 });
    expect(await ids(second)).toEqual([3, 4]);
    await engine.end(made.sync, second);
    await add(made.table, "7@50");
    expect(await run(made)).toEqual([5]);
  });

  test("never sends rows that come late, nor rows without a timestamp", async () => {
    const made = await events(byTime, "1@10 2@20 3");
    await run(made);
    await add(made.table, "4@5 5 6@30");
    expect(await run(made)).toEqual([2]);
  });

  test("sends a key again that comes with a later timestamp, and a change without one not", async () => {
    const made = await events(byTime, "1@10 2@20");
    expect(await run(made)).toEqual([1]);
    await engine.onSource(`update ${made.table} set plan = 'changed' where id = 1`);
    await add(made.table, "3@30");
    expect(await run(made)).toEqual([2]);
    await engine.onSource(`update ${made.table} set at = '1970-01-01 00:00:35' where id = 1`);
    await add(made.table, "4@40");
    expect(await run(made)).toEqual([1, 3]);
  });

  test("skips what is there when told to, but for rows at the mark", async () => {
    const made = await events({ ...byTime, historical_sync_operation: "skip_current_records" }, "1@10 2@20");
    const first = await engine.plan(made.sync);
    expect(first).toMatchObject({ fullSync: true, sourceRecordCount: 2, updates: 0, batches: 0 });
    await engine.end(made.sync, first);
    await add(made.table, "3@15 4@30");
    expect(await run(made)).toEqual([2]);
  });

  test("skips nothing of what comes after a first run over an empty source", async () => {
    const made = await events({ ...byTime, historical_sync_operation: "skip_current_records" });
    expect(await run(made)).toEqual([]);
    await add(made.table, "1@10 2@20");
    expect(await run(made)).toEqual([1]);
  });

  test("looks at rejected rows again although the mark has passed them", async () => {
    const made = await events(byTime, "1@10 2@11 3@20");
    expect(await run(made, rejecting(2))).toEqual([1, 2]);
    await add(made.table, "4@30");
    expect(await run(made, rejecting(2))).toEqual([2, 3]);
    expect(await run(made)).toEqual([2]);
    expect(await run(made)).toEqual([]);
  });

  test("forgets a rejected row that left the source", async () => {
    const made = await events(byTime, "1@10 2@20");
    await run(made, rejecting(1));
    await engine.onSource(`delete from ${made.table} where id = 1`);
    expect(await run(made)).toEqual([]);
    const { rows } = await engine.database.pool.query("select 1 from egret.retry_keys where sync_id = $1", [
      made.sync.id,
    ]);
    expect(rows).toEqual([]);
  });

  test("sends rows that were invalid once they are valid, although the mark has passed them", async () => {
    const made = await events(byTime, "1@10 1@11 2@12 3@20");
    const first = await engine.plan(made.sync);
    expect(first).toMatchObject({ updates: 1, invalids: 2 });
    await engine.end(made.sync, first);
    expect(await engine.plan(made.sync).then((planned) => end(made, planned))).toMatchObject({ invalids: 2 });
    await engine.onSource(`delete from ${made.table} where id = 1 and at > '1970-01-01 00:00:10'`);
    expect(await run(made)).toEqual([1]);
  });

  test("moves its mark with a committed run only, and sends nothing twice that a failed run got through", async () => {
    const made = await events(byTime, "1@10 2@11 3@12 4@20");
    const onlyFirst = ({ data }: SentBatch) => (data[0]?.["unique_id"] === 1 ? ("accepted" as const) : null);
    expect(await run(made, onlyFirst, { fails: true })).toEqual([1, 2, 3]);
    await add(made.table, "5@30");
    expect(await run(made, "unavailable", { fails: true })).toEqual([2, 3, 4]);
    expect(await run(made)).toEqual([2, 3, 4]);
    expect(await run(made)).toEqual([]);
  });

  test("keeps its mark when the row that made it is deleted", async () => {
    const made = await events(byTime, "1@10 2@20 3@30");
    expect(await run(made)).toEqual([1, 2]);
    await engine.onSource(`delete from ${made.table} where id = 3`);
    expect(await run(made)).toEqual([]);
    await add(made.table, "4@25 5@30 6@40");
    expect(await run(made)).toEqual([5]);
  });

  test("is not stopped by a row at infinity", async () => {
    const made = await events(byTime, "1@10 2@20");
    await engine.onSource(`insert into ${made.table} values (9, 'p', 'infinity')`);
    expect(await run(made)).toEqual([1]);
    await add(made.table, "3@30");
    expect(await run(made)).toEqual([2]);
  });

  test("takes what was sent by key for sent when it goes over to timestamps", async () => {
    const made = await events({}, "1@10 2@20");
    expect(await run(made)).toEqual([1, 2]);
    const { sync } = made;
    const after = { ...made, sync: { ...sync, options: { ...sync.options, ...byTime } } };
    await add(made.table, "3@15 4@20");
    expect(await run(after)).toEqual([3]);
    await add(made.table, "5@30");
    expect(await run(after)).toEqual([4]);
  });

  test("refuses a column that holds no timestamps", async () => {
    const { sync } = await events({ high_water_mark_attribute: "plan" }, "1@10");
    await expect(engine.plan(sync)).rejects.toMatchObject({
      runCode: "CONFIG_INVALID",
      message: expect.stringContaining("Column plan of type text"),
    });
  });

  test.each(["date", "timestamptz"])("works on a column of type %s", async (type) => {
    const made = await events(byTime);
    await engine.onSource(
      `alter table ${made.table} alter column at type ${type};
       insert into ${made.table} select i, 'p', ('2020-01-0' || i)::timestamp from generate_series(1, 3) i`,
    );
    expect(await run(made)).toEqual([1, 2]);
    await engine.onSource(`insert into ${made.table} values (4, 'p', '2020-01-04')`);
    expect(await run(made)).toEqual([3]);
  });
});

async function end(made: Appended, planned: PlannedRun): Promise<PlannedRun> {
  await engine.end(made.sync, planned);
  return planned;
}
