/** State in the source: what travels, what a run and a dry run find there, and who may look at it. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { RunFailure } from "../../src/domain/errors.ts";
import { findState } from "../../src/engine/advancedMove.ts";
import { readHome } from "../../src/engine/advancedState.ts";
import { dryRun } from "../../src/engine/dryRun.ts";
import { takeSnapshot } from "../../src/engine/snapshot.ts";
import { resolveRun } from "../../src/engine/syncState.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { type AdvancedScene, byText, openAdvancedScene } from "./advancedScene.ts";
import { type EngineFixture, withHome } from "./fixture.ts";

let engine: EngineFixture;
let newSync: AdvancedScene["newSync"];
let run: AdvancedScene["run"];
let isHere: AdvancedScene["isHere"];
beforeAll(async () => {
  ({ engine, newSync, run, isHere } = await openAdvancedScene());
});

describe("a run with its state in the source", () => {
  test("compares there, and only what differs travels", async () => {
    const ids = Array.from({ length: 5_000 }, (_, n) => `row ${n}`);
    const sync = await newSync(ids, { batchSize: 1_000 });
    expect(await run(sync)).toMatchObject({ fullSync: true, reasons: ["first_run"], updates: 5_000 });
    expect(await isHere(sync.id)).toBe(false);
    await engine.onSource(`update ${sync.table} set plan = 'b' where id = 'row 7'`);
    const changed = await engine.plan(sync);
    expect(await engine.records(changed.runId)).toEqual([{ unique_id: "row 7", plan: "b" }]);
    await engine.end(sync, changed);
    const compiled = postgresSource.compile(
      sync,
      await postgresSource.describeObject(sync.source, sync.object),
    );
    const home = await readHome(engine.database.db, sync.id);
    const mode = { fullSync: false, beginsAnew: false, previousColumns: null, lost: null };
    const snapshot = await postgresSource.openSnapshot(sync.source);
    let bytes = 0;
    const onProgress = (so: number) => (bytes = so);
    const full = { ...mode, reasons: [], mark: null, adoptsState: false };
    const request = { database: engine.database, snapshot, compiled, sync, mode: full, home, onProgress };
    const taken = await takeSnapshot({ ...request, runId: 900_000 });
    await snapshot.close();
    expect(taken).toMatchObject({ sourceRecordCount: 5_000, compared: { remembered: 5_000, added: 0 } });
    expect(bytes).toBeLessThan(500);
  });

  test("finds rows of which the keys no longer fit in memory", async () => {
    const sync = await newSync(["a", "b", "c"]);
    await run(sync);
    await engine.onSource(`update ${sync.table} set plan = 'b' where id <> 'b'`);
    await engine.onSource(
      `insert into ${sync.table} values ('d', 'a', 'x'), ('e', 'a', 'x'), ('e', 'b', 'x')`,
    );
    const planned = await engine.plan(sync, { inMemory: { keys: 0, bytes: 0 } });
    const sent = (await engine.records(planned.runId)).map((record) => record["unique_id"]);
    expect(sent.toSorted(byText)).toEqual(["a", "c", "d"]);
    expect(planned).toMatchObject({ updates: 3, invalids: 2 });
    await engine.end(sync, planned);
  });

  test("that was asked to send everything after it had compared, sends everything", async () => {
    const sync = await newSync(["a", "b", "b"], { operation: "mirror" });
    await run(sync);
    const planned = await engine.plan(sync, { force: true });
    expect(planned).toMatchObject({ reasons: ["user_requested"], updates: 1, invalids: 2, deletes: 0 });
    await engine.end(sync, planned);
  });

  test("sends the last accepted record with a delete", async () => {
    const options = { send_full_record_on_delete: true };
    const sync = await newSync(["a", "b"], { operation: "mirror", options });
    await run(sync);
    await engine.onSource(`delete from ${sync.table} where id = 'a'`);
    const planned = await engine.plan(sync);
    expect(await engine.records(planned.runId)).toEqual([{ unique_id: "a", plan: "a" }]);
    await engine.end(sync, planned);
    expect(await engine.state(sync.id)).toEqual(["b"]);
  });

  test("goes on after a mapping was removed, and sends nothing again", async () => {
    const mappings = [
      { column: "id", to: "unique_id", key: true },
      { column: "plan", to: "plan" },
      { column: "city", to: "city" },
    ];
    const sync = await newSync(["a", "b"], { mappings });
    await run(sync);
    const fewer = { ...sync, mappings: sync.mappings.slice(0, 2) };
    expect((await run(fewer)).sent).toEqual([]);
    expect((await run(fewer)).sent).toEqual([]);
    expect(await readHome(engine.database.db, sync.id)).not.toBeNull();
    await engine.onSource(`update ${sync.table} set city = 'y'`);
    expect((await run(fewer)).sent).toEqual([]);
  });

  test("remembers what an append is to skip", async () => {
    const options = { historical_sync_operation: "skip_current_records" } as const;
    const sync = await newSync(["a", "b"], { operation: "append", options });
    expect((await run(sync)).sent).toEqual([]);
    await engine.onSource(`insert into ${sync.table} values ('c', 'a', 'x')`);
    expect((await run(sync)).sent).toEqual(["c"]);
    expect((await run(sync)).sent).toEqual([]);
  });
});

describe("a dry run", () => {
  /** What a run would do now. */
  async function tryOut(sync: Sync, force = false) {
    const { database } = engine;
    const compiled = postgresSource.compile(
      sync,
      await postgresSource.describeObject(sync.source, sync.object),
    );
    const mode = await resolveRun(database.db, sync, compiled, force);
    const home = await findState({ database, sync, compiled, mode });
    const snapshot = await postgresSource.openSnapshot(sync.source);
    const runId = 800_000 + sync.id;
    const taken = await takeSnapshot({ database, snapshot, compiled, sync, mode, home, runId });
    const request = { database, snapshot, compiled, sync, runId, runAt: new Date(), taken, mode };
    const { report } = await dryRun({ ...request, fullSync: mode.fullSync });
    await snapshot.close();
    await engine.database.pool.query(`drop table if exists egret_state.stage_${runId}`);
    return report;
  }

  test("compares where the state is, tells the same figures as a run, and writes nothing", async () => {
    const sync = await newSync(["a", "b", "c"], { operation: "mirror" });
    await run(sync);
    await engine.onSource(`update ${sync.table} set plan = 'b' where id = 'a'`);
    await engine.onSource(`delete from ${sync.table} where id = 'b'`);
    await engine.onSource(
      `insert into ${sync.table} values ('d', 'a', 'x'), ('e', 'a', 'x'), ('e', 'a', 'x')`,
    );
    const expected = { expected_creates: 1, expected_updates: 1, expected_deletes: 1, remembered: 3 };
    expect(await tryOut(sync)).toMatchObject({ ...expected, resends: null });
    expect(await tryOut(sync, true)).toMatchObject({ ...expected, expected_updates: 2, resends: 2 });
    // Where the next run is going to move the state, it is looked at where it still is.
    expect(await tryOut(withHome(sync, "basic"))).toMatchObject(expected);
    const { rows } = await engine.database.pool.query(
      "select from egret.state_journal where sync_id > 2 ^ 40",
    );
    expect(rows).toEqual([]);
    const planned = await engine.plan(sync);
    expect(planned).toMatchObject({ updates: 2, deletes: 1, invalids: 2 });
    await engine.end(sync, planned);
  });
});

describe("a role of the source", () => {
  let role: string;
  let owner: pg.Client;
  beforeAll(async () => {
    owner = new pg.Client({ connectionString: engine.sourceUrl });
    await owner.connect();
    const { rows } = await owner.query<{ name: string }>("select current_database() as name");
    role = `reader_of_${rows[0]?.name ?? ""}`.slice(0, 60);
    await owner.query(`create role ${role} login password 'reader'`);
  });
  afterAll(async () => {
    await owner.query(`drop owned by ${role}`);
    await owner.query(`drop role ${role}`);
    await owner.end();
  });

  test("that may not write is told what to grant, and needs nothing else", async () => {
    const made = await newSync(["a", "b"]);
    await owner.query(`grant select on ${made.table} to ${role}`);
    const url = new URL(engine.sourceUrl);
    [url.username, url.password] = [role, "reader"];
    const sync = { ...made, source: { ...made.source, url: url.href, stateSchema: "egret_reader" } };
    const refusal = await engine.plan(sync).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RunFailure);
    const { message, detail } = refusal as RunFailure;
    expect(message).toContain(`Role ${role} may not write to schema egret_reader`);
    const statements = /: (CREATE SCHEMA.*?);? or set/.exec(detail ?? "")?.[1];
    await owner.query(statements ?? "");
    expect((await run(sync)).sent).toEqual(["a", "b"]);
    expect((await run(sync)).sent).toEqual([]);
  });
});

describe("the bookkeeping schema", () => {
  test("is nothing to be sent: not as a table, nor through a view or a model", async () => {
    const sync = await newSync(["a"]);
    await run(sync);
    await engine.onSource(`create view public.peek as select * from egret.rows_${sync.id}`);
    const describing = (object: Sync["object"]) => postgresSource.describeObject(sync.source, object);
    const refused = /schema egret, in which Egret keeps its own state/;
    await expect(describing({ type: "table", schema: "egret", table: "syncs" })).rejects.toThrow(refused);
    await expect(describing({ type: "table", schema: "public", table: "peek" })).rejects.toThrow(refused);
    const query = `with p as (select 1) select count(*) as n from p, egret.rows_${sync.id}`;
    await expect(describing({ type: "model", modelId: 1, name: "sly", query })).rejects.toThrow(refused);
    await engine.onSource("drop view public.peek");
  });
});
