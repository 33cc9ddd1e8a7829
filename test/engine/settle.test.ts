import { beforeAll, describe, expect, test } from "vitest";
import type { Sync } from "../../src/domain/configuration.ts";
import { releaseSync } from "../../src/engine/claims.ts";
import { readBatch, runTotals, settleBatches } from "../../src/engine/settle.ts";
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
});
