import { beforeAll, describe, expect, test } from "vitest";
import { releaseSync } from "../../src/engine/claims.ts";
import { cutJsonBody } from "../../src/engine/cutBody.ts";
import { halfNumber, readBatch, runTotals, settleBatches } from "../../src/engine/settle.ts";
import { type EngineFixture, makeSync, openEngine } from "../engine/fixture.ts";

let engine: EngineFixture;
beforeAll(async () => {
  engine = await openEngine();
});

/** A planned run of one batch with so many rows. */
async function plannedBatch(syncId: number, rows: number) {
  await engine.onSource(
    `create table s${syncId} as select i as id, 'p' || i as plan from generate_series(1, ${rows}) i`,
  );
  const object = { type: "table", schema: "public", table: `s${syncId}` } as const;
  const sync = makeSync({ sourceUrl: engine.sourceUrl, syncId, batchSize: rows, object });
  const { runId } = await engine.plan(sync);
  return { sync, runId };
}

const refused = (runId: number, batchNo: number) =>
  ({
    runId,
    batchNo,
    outcome: "rejected",
    statusMessage: "HTTP 422: bad\u0000 row",
    cutBody: cutJsonBody,
  }) as const;

async function state(syncId: number): Promise<string[]> {
  const { rows } = await engine.database.pool.query<{ key: string }>(
    `select key from egret_state.rows_${syncId} order by key::int`,
  );
  return rows.map((row) => row.key);
}

async function openBatches(runId: number) {
  const { rows } = await engine.database.pool.query<{
    batch_no: number;
    name: string | null;
    records: number;
    body: Buffer;
    keys: string[];
  }>(
    `select batch_no, name, records, body, keys from egret.batches
     where run_id = $1 and outcome is null order by batch_no`,
    [runId],
  );
  return rows;
}

const dataOf = (body: Buffer) => (JSON.parse(body.toString()) as { data: { unique_id: number }[] }).data;

/** Plays a receiver that refuses every request with one of these rows; returns how many requests it got. */
async function playReceiver(runId: number, isBad: (id: number) => boolean): Promise<number> {
  let requests = 0;
  for (;;) {
    const open = await openBatches(runId);
    if (open.length === 0) return requests;
    requests += open.length;
    await settleBatches(
      engine.database,
      open.map(({ batch_no: batchNo, body }) =>
        dataOf(body).some(({ unique_id: id }) => isBad(id))
          ? refused(runId, batchNo)
          : { runId, batchNo, outcome: "accepted" as const, statusMessage: null, cutBody: cutJsonBody },
      ),
    );
  }
}

describe("a rejected batch of several rows", () => {
  test("is cut into a first half of ceil(n/2) rows and a second one, with the same bytes around and in the rows", async () => {
    const { runId } = await plannedBatch(1, 5);
    const parent = await readBatch(engine.database.pool, runId, 1);
    await settleBatches(engine.database, [refused(runId, 1)]);
    const halves = await openBatches(runId);
    expect(halves.map(({ batch_no, name, records, keys }) => [batch_no, name, records, keys])).toEqual([
      [2, "1_1", 3, ["1", "2", "3"]],
      [3, "1_2", 2, ["4", "5"]],
    ]);
    const [first, second] = halves.map(({ body }) => body.toString());
    const whole = parent?.body?.toString() ?? "";
    expect(first?.replace("]}", `,${second?.slice(second.indexOf("[") + 1)}`)).toBe(whole);
    expect(await halfNumber(engine.database.db, runId, "1_2")).toBe(3);
    expect(await readBatch(engine.database.pool, runId, "1_2")).toMatchObject({ batchNo: 3, records: 2 });
    const row = await engine.database.db
      .selectFrom("egret.batches")
      .select(["outcome", "body", "keys", "hashes", "status_message"])
      .where("run_id", "=", runId)
      .where("batch_no", "=", 1)
      .executeTakeFirst();
    expect(row).toEqual({
      outcome: "split",
      body: null,
      keys: null,
      hashes: null,
      status_message: "HTTP 422: bad\ufffd row",
    });
  });

  test.each([1, 2, 3, 5, 8, 16, 33, 100])(
    "of %i rows with one bad one costs at most 2*ceil(log2 n)+1 requests, wherever it stands",
    async (rows) => {
      const most = 2 * Math.ceil(Math.log2(rows)) + 1;
      for (const [index, bad] of [1, Math.ceil(rows / 2), rows].entries()) {
        const syncId = 1_000 + rows * 10 + index;
        const { runId } = await plannedBatch(syncId, rows);
        expect(await playReceiver(runId, (id) => id === bad)).toBeLessThanOrEqual(most);
        const keys = Array.from({ length: rows }, (_, at) => String(at + 1));
        const expected = keys.filter((key) => key !== String(bad));
        expect(await state(syncId)).toEqual(expected);
        const totals = await runTotals(engine.database.db, runId);
        expect(totals.accepted.records).toBe(rows - 1);
        expect(totals.rejected).toEqual({ batches: 1, records: 1 });
        expect(totals.open.batches).toBe(0);
      }
    },
  );

  test("counts nothing itself: every row is accepted or rejected once", async () => {
    const { runId } = await plannedBatch(2, 20);
    await playReceiver(runId, (id) => id % 7 === 3);
    const totals = await runTotals(engine.database.db, runId);
    expect(totals.accepted.records).toBe(17);
    expect(totals.rejected).toEqual({ batches: 3, records: 3 });
  });

  test("is cut once, however often and by however many it is settled", async () => {
    const { runId } = await plannedBatch(3, 4);
    await Promise.all(Array.from({ length: 5 }, () => settleBatches(engine.database, [refused(runId, 1)])));
    await settleBatches(engine.database, [{ ...refused(runId, 1), outcome: "accepted" }]);
    expect((await openBatches(runId)).map(({ name }) => name)).toEqual(["1_1", "1_2"]);
    expect(await state(3)).toEqual([]);
  });

  test("is cut beside others of its run without a number being given twice", async () => {
    await engine.onSource("create table s4 as select i as id, 'p' as plan from generate_series(1, 40) i");
    const object = { type: "table", schema: "public", table: "s4" } as const;
    const sync = makeSync({ sourceUrl: engine.sourceUrl, syncId: 4, batchSize: 4, object });
    const { runId, batches } = await engine.plan(sync);
    const numbers = Array.from({ length: batches }, (_, index) => index + 1);
    await Promise.all(numbers.map((batchNo) => settleBatches(engine.database, [refused(runId, batchNo)])));
    const halves = await openBatches(runId);
    expect(halves.map(({ batch_no }) => batch_no)).toEqual(Array.from({ length: 20 }, (_, n) => 11 + n));
    expect(halves.map(({ name }) => String(name)).sort()).toEqual(
      numbers.flatMap((batchNo) => [`${batchNo}_1`, `${batchNo}_2`]).sort(),
    );
  });

  test("whose run has ended leaves no halves, since nobody would send them", async () => {
    const { runId } = await plannedBatch(5, 4);
    await engine.database.db
      .updateTable("egret.sync_states")
      .set({ active_run_id: null })
      .where("sync_id", "=", 5)
      .execute();
    await settleBatches(engine.database, [refused(runId, 1)]);
    expect(await openBatches(runId)).toEqual([]);
    expect((await runTotals(engine.database.db, runId)).rejected).toEqual({ batches: 1, records: 4 });
  });

  test("and a run that ends at the same moment leave no open half behind", async () => {
    for (let syncId = 100; syncId < 110; syncId += 1) {
      const { runId } = await plannedBatch(syncId, 4);
      await Promise.all([
        settleBatches(engine.database, [refused(runId, 1)]),
        releaseSync(engine.database.db, syncId, runId),
      ]);
      expect(await openBatches(runId)).toEqual([]);
    }
  });

  test("that was refused without leave to cut it is rejected as a whole", async () => {
    const { runId } = await plannedBatch(6, 4);
    await settleBatches(engine.database, [{ ...refused(runId, 1), cutBody: undefined }]);
    expect((await runTotals(engine.database.db, runId)).rejected).toEqual({ batches: 1, records: 4 });
  });

  test("whose rows were not accepted is found again by the next run", async () => {
    const { sync, runId } = await plannedBatch(7, 6);
    await playReceiver(runId, (id) => id === 5);
    await releaseSync(engine.database.db, 7, runId);
    const next = await engine.plan(sync);
    expect((await engine.records(next.runId)).map((record) => record["unique_id"])).toEqual([5]);
  });
});
