import { beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { releaseSync } from "../../src/engine/claims.ts";
import { keepRowErrors, readBatch, runTotals, settleBatches } from "../../src/engine/settle.ts";
import { type EngineFixture, makeSync, openEngine } from "./fixture.ts";

let engine: EngineFixture;
beforeAll(async () => {
  engine = await openEngine();
});

async function planned(syncId: number, rows = 4) {
  await engine.onSource(
    `create table s${syncId} as select i as id, 'p' as plan from generate_series(1, ${rows}) i`,
  );
  const object = { type: "table", schema: "public", table: `s${syncId}` } as const;
  const sync: Sync = makeSync({ sourceUrl: engine.sourceUrl, syncId, batchSize: 1, object });
  return { sync, run: await engine.plan(sync) };
}

async function state(syncId: number): Promise<string[]> {
  const { rows } = await engine.database.pool.query<{ key: string }>(
    `select key from egret_state.rows_${syncId} order by key`,
  );
  return rows.map((row) => row.key);
}

const none = { batches: 0, records: 0 };

describe("settleBatches", () => {
  test("advances the state by accepted batches only", async () => {
    const { sync, run } = await planned(1);
    const { runId } = run;
    await settleBatches(engine.database, [
      { runId, batchNo: 1, outcome: "accepted", statusMessage: null },
      { runId, batchNo: 2, outcome: "rejected", statusMessage: "HTTP 422: no\u0000 such plan" },
      { runId, batchNo: 3, outcome: "unavailable", statusMessage: "HTTP 503" },
    ]);
    expect(await state(1)).toEqual(["1"]);
    const one = { batches: 1, records: 1 };
    expect(await runTotals(engine.database.db, runId)).toEqual({
      open: one,
      accepted: one,
      rejected: one,
      unavailable: one,
      dropped: none,
    });
    await releaseSync(engine.database.db, 1, runId);
    expect((await runTotals(engine.database.db, runId)).dropped).toEqual(one);
    // What was not accepted is found again by the next run, which is no full sync.
    const next = await engine.plan(sync);
    expect(next).toMatchObject({ fullSync: false, updates: 3 });
    expect((await engine.records(next.runId)).map((record) => record["unique_id"])).toEqual([2, 3, 4]);
  });

  test("keeps message and outcome, and drops body, keys and hashes", async () => {
    const { run } = await planned(2);
    const settlement = {
      runId: run.runId,
      batchNo: 1,
      outcome: "rejected",
      statusMessage: "HTTP 422: a\u0000b",
    } as const;
    await settleBatches(engine.database, [settlement]);
    const row = await engine.database.db
      .selectFrom("egret.batches")
      .selectAll()
      .where("run_id", "=", run.runId)
      .where("batch_no", "=", 1)
      .executeTakeFirst();
    expect(row).toMatchObject({
      outcome: "rejected",
      status_message: "HTTP 422: a\ufffdb",
      body: null,
      keys: null,
      hashes: null,
    });
    expect(row?.settled_at).toBeInstanceOf(Date);
    expect(await readBatch(engine.database.pool, run.runId, 1)).toMatchObject({
      body: null,
      outcome: "rejected",
      records: 1,
    });
  });

  test("changes nothing the second time, whatever it says", async () => {
    const { run } = await planned(3);
    const accept = { runId: run.runId, batchNo: 1, outcome: "accepted", statusMessage: null } as const;
    await settleBatches(engine.database, [accept]);
    const rows = () =>
      engine.database.pool.query("select xmin, * from egret.batches where run_id = $1 order by batch_no", [
        run.runId,
      ]);
    const before = (await rows()).rows;
    await settleBatches(engine.database, [accept]);
    await settleBatches(engine.database, [{ ...accept, outcome: "rejected" }]);
    expect((await rows()).rows).toEqual(before);
    expect(await state(3)).toEqual(["1"]);
  });

  test("takes batches of several syncs at once, and ones that do not exist", async () => {
    const a = await planned(4);
    const b = await planned(5);
    const accept = (runId: number, batchNo: number) => ({
      runId,
      batchNo,
      outcome: "accepted" as const,
      statusMessage: null,
    });
    await settleBatches(engine.database, [
      accept(a.run.runId, 2),
      accept(b.run.runId, 3),
      accept(999_999, 1),
    ]);
    expect([await state(4), await state(5)]).toEqual([["2"], ["3"]]);
    await settleBatches(engine.database, []);
  });

  test("leaves no trace of an acceptance that comes after the run was released", async () => {
    const { run } = await planned(6);
    await releaseSync(engine.database.db, 6, run.runId);
    await settleBatches(engine.database, [
      { runId: run.runId, batchNo: 1, outcome: "accepted", statusMessage: null },
    ]);
    expect(await state(6)).toEqual([]);
  });

  test("lets many settle the same batches at once", async () => {
    const { run } = await planned(7, 50);
    const all = Array.from({ length: 50 }, (_, index) => ({
      runId: run.runId,
      batchNo: index + 1,
      outcome: "accepted" as const,
      statusMessage: null,
    }));
    await Promise.all([
      settleBatches(engine.database, all),
      settleBatches(engine.database, all.toReversed()),
    ]);
    expect((await runTotals(engine.database.db, run.runId)).accepted).toEqual({ batches: 50, records: 50 });
    expect(await state(7)).toHaveLength(50);
  });

  describe("of one sync, all accepted", () => {
    const accept = (syncId: number, runId: number, batchNos: readonly number[]) =>
      batchNos.map((batchNo) => ({
        runId,
        batchNo,
        outcome: "accepted" as const,
        statusMessage: null,
        syncId,
      }));
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    async function hashes(syncId: number): Promise<Map<string, string>> {
      const { rows } = await engine.database.pool.query<{ key: string; hash: string }>(
        `select key, hash::text from egret_state.rows_${syncId}`,
      );
      return new Map(rows.map(({ key, hash }) => [key, hash]));
    }
    /** The hash that each batch of a run stands for. */
    async function hashesSent(runId: number): Promise<Map<string, string>> {
      const { rows } = await engine.database.pool.query<{ key: string; hash: string }>(
        "select keys[1] as key, hashes[1]::text as hash from egret.batches where run_id = $1",
        [runId],
      );
      return new Map(rows.map(({ key, hash }) => [key, hash]));
    }

    test.each([
      ["new", "", 9],
      ["known", "true", 9],
      ["known but for some", "id % 2 = 0", 9],
    ])("take over what was sent where the rows are %s", async (kind, where, rows) => {
      const syncId = 20 + ["new", "known", "known but for some"].indexOf(kind);
      const { sync, run } = await planned(syncId, rows);
      if (kind !== "new") {
        await engine.end(sync, run, ({ data }) =>
          kind === "known" || Number(data[0]?.["unique_id"]) % 2 === 0 ? "accepted" : "rejected",
        );
        await engine.onSource(`update s${syncId} set plan = 'q' where ${where}`);
      }
      const next = kind === "new" ? run : await engine.plan(sync);
      const wanted = await hashesSent(next.runId);
      expect(wanted.size).toBe(rows);
      await settleBatches(engine.database, accept(syncId, next.runId, numbers(rows)));
      expect(await hashes(syncId)).toEqual(wanted);
      expect((await runTotals(engine.database.db, next.runId)).accepted).toEqual({
        batches: rows,
        records: rows,
      });
      await releaseSync(engine.database.db, syncId, next.runId);
      expect(await engine.plan(sync)).toMatchObject({ updates: 0 });
    });

    test.each([true, false])("keep their rows when told so: %s", async (keepsRows) => {
      const syncId = keepsRows ? 24 : 25;
      const { run } = await planned(syncId);
      await settleBatches(engine.database, accept(syncId, run.runId, [1, 2]), { keepsRows });
      const { rows } = await engine.database.pool.query(
        `select body is not null as body, keys is not null as keys, hashes is not null as hashes, settled_at is not null as settled
         from egret.batches where run_id = $1 and outcome = 'accepted'`,
        [run.runId],
      );
      const kept = { body: keepsRows, keys: keepsRows, hashes: false, settled: true };
      expect(rows).toEqual([kept, kept]);
    });

    test("leave out rows that the answer did not take", async () => {
      const { run } = await planned(26);
      const { database } = engine;
      await keepRowErrors(database.db, { runId: run.runId, batchNo: 2 }, ["no such plan"]);
      await settleBatches(database, accept(26, run.runId, numbers(4)));
      expect(await state(26)).toEqual(["1", "3", "4"]);
      expect((await runTotals(database.db, run.runId)).rejected.records).toBe(1);
    });

    test("change nothing the second time, nor after the run was released", async () => {
      const { run } = await planned(27);
      const { pool, db } = engine.database;
      const rows = async () =>
        (
          await pool.query("select xmin, * from egret.batches where run_id = $1 order by batch_no", [
            run.runId,
          ])
        ).rows;
      await settleBatches(engine.database, accept(27, run.runId, [1]));
      const before = await rows();
      await settleBatches(engine.database, accept(27, run.runId, [1]));
      expect(await rows()).toEqual(before);
      await releaseSync(db, 27, run.runId);
      await settleBatches(engine.database, accept(27, run.runId, numbers(4)));
      expect(await state(27)).toEqual(["1"]);
    });

    test("are settled once when several settle them, and some of them twice in one call", async () => {
      const { run } = await planned(28, 50);
      const all = accept(28, run.runId, [...numbers(50), 7, 7]);
      await Promise.all([
        settleBatches(engine.database, all),
        settleBatches(engine.database, all.toReversed()),
        settleBatches(engine.database, all.slice(10, 30)),
      ]);
      expect((await runTotals(engine.database.db, run.runId)).accepted).toEqual({ batches: 50, records: 50 });
      expect(await state(28)).toHaveLength(50);
    });
  });
});
