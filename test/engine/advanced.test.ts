/** State in the source: what travels, how it moves there and back, and that no crash, restore or outage loses a row. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { RunFailure } from "../../src/domain/errors.ts";
import { findState } from "../../src/engine/advancedMove.ts";
import { relayBeforeCommit, relayState } from "../../src/engine/advancedRelay.ts";
import { readHome } from "../../src/engine/advancedState.ts";
import { dryRun } from "../../src/engine/dryRun.ts";
import { settleBatches } from "../../src/engine/settle.ts";
import { takeSnapshot } from "../../src/engine/snapshot.ts";
import { reportState } from "../../src/engine/stateReport.ts";
import { resolveRun } from "../../src/engine/syncState.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import {
  type EngineFixture,
  makeSync,
  openEngine,
  type PlannedRun,
  type SyncParts,
  withHome,
} from "./fixture.ts";

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
});

/** A sync of a table of its own with these ids, its state in the source. */
async function newSync(ids: string[], parts: Partial<SyncParts> = {}): Promise<Sync & { table: string }> {
  lastSync += 1;
  const name = `people_${lastSync}`;
  await engine.onSource(`create table public.${name} (id text, plan text, city text)`);
  await engine.onSource(`insert into public.${name} select id, 'a', 'x' from unnest($1::text[]) as u (id)`, [
    ids,
  ]);
  const object = { type: "table", schema: "public", table: name } as const;
  const sync = makeSync({ sourceUrl: engine.sourceUrl, syncId: lastSync, object, ...parts });
  return { ...withHome(sync, "advanced"), table: `public.${name}` };
}

/** Plans and ends a run; gives back what was sent. */
async function run(sync: Sync): Promise<PlannedRun & { sent: unknown[] }> {
  const planned = await engine.plan(sync);
  const sent = (await engine.records(planned.runId)).map((record) => record["unique_id"]);
  await engine.end(sync, planned);
  return { ...planned, sent: sent.toSorted(byText) };
}

const byText = (a: unknown, b: unknown) => (String(a) < String(b) ? -1 : 1);
const isHere = async (syncId: number) => {
  const { rows } = await engine.database.pool.query<{ here: boolean }>(
    "select to_regclass($1) is not null as here",
    [`egret_state.rows_${syncId}`],
  );
  return rows[0]?.here;
};

/** Makes our Postgres refuse one kind of change until `mend` is called, as if the process died just before it. */
async function breaking(table: string, when: string): Promise<{ mend(): Promise<void> }> {
  const { pool } = engine.database;
  await pool.query(`
    create or replace function egret_state.die() returns trigger language plpgsql as $$ begin raise exception 'died'; end $$;
    create trigger die before ${when} on ${table} for each statement execute function egret_state.die()`);
  return {
    mend: async () => {
      await pool.query(`drop trigger die on ${table}`);
    },
  };
}

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
