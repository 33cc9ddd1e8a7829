/** State in the source: how it moves there and back, and that no crash, restore or outage loses a row. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { relayBeforeCommit, relayState } from "../../src/engine/advancedRelay.ts";
import { readHome } from "../../src/engine/advancedState.ts";
import { settleBatches } from "../../src/engine/settle.ts";
import { reportState } from "../../src/engine/stateReport.ts";
import { type AdvancedScene, openAdvancedScene } from "./advancedScene.ts";
import { type EngineFixture, type PlannedRun, withHome } from "./fixture.ts";

let engine: EngineFixture;
let newSync: AdvancedScene["newSync"];
let run: AdvancedScene["run"];
let isHere: AdvancedScene["isHere"];
let breaking: AdvancedScene["breaking"];
beforeAll(async () => {
  ({ engine, newSync, run, isHere, breaking } = await openAdvancedScene());
});

describe("a source that changes its engine", () => {
  test.each(["upsert", "append", "mirror"] as const)(
    "moves the state of an %s there and back, and nothing is sent again",
    async (operation) => {
      const sync = await newSync(["a", "b", "c", "é"], { operation });
      expect((await run(withHome(sync, "basic"))).sent).toEqual(["a", "b", "c", "é"]);
      expect((await run(sync)).sent).toEqual([]);
      expect(await isHere(sync.id)).toBe(false);
      await engine.onSource(`insert into ${sync.table} values ('d', 'a', 'x')`);
      expect((await run(sync)).sent).toEqual(["d"]);
      const report = await reportState(engine.database, sync);
      expect(report).toMatchObject({ home: "source", schema: "egret", rows: 5, waiting: 0, lost: null });
      expect((await run(withHome(sync, "basic"))).sent).toEqual([]);
      expect(await isHere(sync.id)).toBe(true);
      expect(await engine.state(sync.id)).toEqual(["a", "b", "c", "d", "é"]);
      const here = await reportState(engine.database, sync);
      expect(here).toMatchObject({ home: "egret", schema: null, rows: 5, waiting: 0, lost: null });
      const { rows } = await engine.onSource("select to_regclass($1) is null as gone", [
        `egret.rows_${sync.id}`,
      ]);
      expect(rows).toEqual([{ gone: true }]);
    },
  );

  test("moves to another schema as well", async () => {
    const sync = await newSync(["a"]);
    await run(sync);
    const other = { ...sync, source: { ...sync.source, stateSchema: "egret_two" } };
    expect((await run(other)).sent).toEqual([]);
    expect(await readHome(engine.database.db, sync.id)).toMatchObject({ schema: "egret_two" });
  });

  test("takes the last accepted records of a mirror along", async () => {
    const options = { send_full_record_on_delete: true };
    const sync = await newSync(["a", "b"], { operation: "mirror", options });
    await run(withHome(sync, "basic"));
    await run(sync);
    await run(withHome(sync, "basic"));
    await engine.onSource(`delete from ${sync.table} where id = 'a'`);
    const planned = await engine.plan(withHome(sync, "basic"));
    expect(await engine.records(planned.runId)).toEqual([{ unique_id: "a", plan: "a" }]);
    await engine.end(sync, planned);
  });

  test("loses nothing by a crash between the commit there and ours", async () => {
    const sync = await newSync(["a", "b"]);
    await run(withHome(sync, "basic"));
    const crash = await breaking("egret.state_homes", "insert");
    await expect(engine.plan(sync)).rejects.toThrow("died");
    await crash.mend();
    const { rows } = await engine.onSource(`select key from egret.rows_${sync.id} order by key`);
    expect(rows).toHaveLength(2);
    // Until it is there, it is here: a run meanwhile goes on from it.
    await engine.onSource(`insert into ${sync.table} values ('c', 'a', 'x')`);
    expect((await run(withHome(sync, "basic"))).sent).toEqual(["c"]);
    expect((await run(sync)).sent).toEqual([]);
    expect(await engine.state(sync.id)).toEqual(["a", "b", "c"]);
  });

  test("loses nothing by a crash on the way back", async () => {
    const sync = await newSync(["a", "b"]);
    await run(sync);
    const crash = await breaking("egret.state_homes", "delete");
    await expect(engine.plan(withHome(sync, "basic"))).rejects.toThrow("died");
    await crash.mend();
    expect(await isHere(sync.id)).toBe(false);
    expect((await run(withHome(sync, "basic"))).sent).toEqual([]);
    expect(await engine.state(sync.id)).toEqual(["a", "b"]);
  });
});

describe("rows that were accepted", () => {
  /** Accepts every batch of a run, and ends it without a commit: the source is told nothing. */
  const acceptOnly = (sync: Sync, planned: PlannedRun) =>
    engine.end(sync, planned, "accepted", { fails: true });

  test("are noted while the source is away, and the next run sees them", async () => {
    const sync = await newSync(["a", "b"]);
    const planned = await engine.plan(sync);
    await acceptOnly(sync, planned);
    const dead = { ...sync.source, url: "postgres://nobody@127.0.0.1:1/none" };
    await expect(relayBeforeCommit(engine.database, dead, sync.id, [1, 1])).rejects.toMatchObject({
      runCode: "SOURCE_CONNECTION_FAILED",
    });
    expect((await run(sync)).sent).toEqual([]);
    expect(await engine.state(sync.id)).toEqual(["a", "b"]);
  });

  test("are relayed once and in order, whatever dies in between", async () => {
    const sync = await newSync(["a", "b"], { operation: "mirror", batchSize: 1 });
    await run(sync);
    await engine.onSource(`delete from ${sync.table} where id = 'a'`);
    const deleting = await engine.plan(sync);
    await acceptOnly(sync, deleting);
    const crash = await breaking("egret.state_journal", "delete");
    await expect(relayState(engine.database, sync.source, sync.id)).rejects.toThrow("died");
    await crash.mend();
    await engine.onSource(`insert into ${sync.table} values ('a', 'a', 'x')`);
    expect((await run(sync)).sent).toEqual(["a"]);
    expect(await engine.state(sync.id)).toEqual(["a", "b"]);
    expect((await run(sync)).sent).toEqual([]);
  });

  test("count as the last batch said, where one relay carries several", async () => {
    const sync = await newSync(["a"]);
    const first = await engine.plan(sync);
    await acceptOnly(sync, first);
    const { pool } = engine.database;
    await pool.query(
      `insert into egret.state_journal (sync_id, seq, kind, keys, hashes)
       select $1, last_seq + n, 'remember', array['a', 'z'], array[n, n] from egret.state_homes, generate_series(1, 3) n
       where sync_id = $1`,
      [sync.id],
    );
    await pool.query("update egret.state_homes set last_seq = last_seq + 3 where sync_id = $1", [sync.id]);
    await Promise.all([1, 2, 3].map(() => relayState(engine.database, sync.source, sync.id)));
    const { rows } = await engine.onSource(`select key, hash::int from egret.rows_${sync.id} order by key`);
    expect(rows).toEqual([
      { key: "a", hash: 3 },
      { key: "z", hash: 3 },
    ]);
  });

  test("of two runs' batches settle in any order without a dead end", async () => {
    const [one, two] = [
      await newSync(["a", "b"], { batchSize: 1 }),
      await newSync(["a", "b"], { batchSize: 1 }),
    ];
    const [first, second] = [await engine.plan(one), await engine.plan(two)];
    const accepted = (runId: number, batchNo: number) => ({
      runId,
      batchNo,
      outcome: "accepted" as const,
      statusMessage: null,
    });
    await Promise.all([
      settleBatches(engine.database, [accepted(first.runId, 1), accepted(second.runId, 1)]),
      settleBatches(engine.database, [accepted(second.runId, 2), accepted(first.runId, 2)]),
    ]);
    await engine.end(one, first);
    await engine.end(two, second);
    expect(await engine.state(one.id)).toEqual(["a", "b"]);
    expect(await engine.state(two.id)).toEqual(["a", "b"]);
  });
});

describe("a state in the source that is not what was written there", () => {
  async function whyLost(syncId: number): Promise<string | null | undefined> {
    const { rows } = await engine.database.pool.query<{ why: string | null }>(
      "select state_lost as why from egret.sync_states where sync_id = $1",
      [syncId],
    );
    return rows[0]?.why;
  }

  test.each([
    [
      "was restored from a backup",
      /older than what was written/,
      async (sync: Sync) => {
        await engine.onSource(`update egret.syncs set applied = 0 where sync_id = $1`, [sync.id]);
      },
    ],
    [
      "belongs to another copy",
      /not written by this Egret/,
      async (sync: Sync) => {
        await engine.onSource(`update egret.syncs set epoch = gen_random_uuid() where sync_id = $1`, [
          sync.id,
        ]);
      },
    ],
    [
      "is newer than our own Postgres",
      /newer than what we know/,
      async (sync: Sync) => {
        await engine.onSource(`update egret.syncs set applied = applied + 9 where sync_id = $1`, [sync.id]);
      },
    ],
    [
      "was dropped",
      /not in schema egret/,
      async (sync: Sync) => {
        await engine.onSource(`drop table egret.rows_${sync.id}`);
      },
    ],
  ])("is noticed when it %s, and everything is sent again", async (_name, reason, damage) => {
    const sync = await newSync(["a", "b"]);
    await run(sync);
    await damage(sync);
    expect(await run(sync)).toMatchObject({ fullSync: true, reasons: ["state_missing"], sent: ["a", "b"] });
    expect(await whyLost(sync.id)).toMatch(reason);
    expect((await run(sync)).sent).toEqual([]);
  });

  test("and is another Egret's is left alone", async () => {
    const sync = await newSync(["a"]);
    await run(sync);
    await engine.database.pool.query("update egret.installation set id = gen_random_uuid()");
    await engine.database.pool.query("delete from egret.state_homes where sync_id = $1", [sync.id]);
    await expect(engine.plan(sync)).rejects.toMatchObject({
      runCode: "CONFIG_INVALID",
      message: expect.stringContaining("another Egret") as string,
      detail: expect.stringContaining("state_schema") as string,
    });
    const { rows } = await engine.onSource(`select key from egret.rows_${sync.id}`);
    expect(rows).toEqual([{ key: "a" }]);
    const own = { ...sync, source: { ...sync.source, stateSchema: "egret_three" } };
    expect((await run(own)).sent).toEqual(["a"]);
  });
});
