import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { releaseSync } from "../../src/engine/claims.ts";
import { cutJsonBody } from "../../src/engine/cutBody.ts";
import { areRecordsKept, countRecords, listRecords } from "../../src/engine/recordQueries.ts";
import {
  type RecordFilter,
  type RecordStatus,
  type RowRecord,
  readRecords,
} from "../../src/engine/records.ts";
import { dropSentRows } from "../../src/engine/sentRows.ts";
import { keepRowErrors, settleBatches } from "../../src/engine/settle.ts";
import { withdrawBatches } from "../../src/engine/withdraw.ts";
import type { BatchOutcome } from "../../src/projections/database.ts";
import { type EngineFixture, makeSync, openEngine, type SyncParts } from "./fixture.ts";

let engine: EngineFixture;
let syncId = 0;
beforeAll(async () => {
  engine = await openEngine();
});
afterEach(() => engine.onSource("drop table if exists people"));

/** A plan over a table of its own, made by this SQL of the columns id and plan. */
async function planned(rowsSql: string, parts: Partial<SyncParts> = {}) {
  syncId += 1;
  await engine.onSource(`create table people as ${rowsSql}`);
  const sync = makeSync({ sourceUrl: engine.sourceUrl, syncId, ...parts });
  const run = await engine.plan(sync);
  return { sync, run, filter: { runId: run.runId, syncId } };
}

const rowsUpTo = (count: number) => `select n as id, 'p' || n as plan from generate_series(1, ${count}) n`;

/** Settles batches as the runtime does where rows are kept. */
async function settle(
  runId: number,
  outcomes: Record<number, BatchOutcome>,
  {
    message = null,
    isCut = false,
    keepsRows = true,
  }: { message?: string | null; isCut?: boolean; keepsRows?: boolean } = {},
): Promise<void> {
  const settlements = Object.entries(outcomes).map(([batchNo, outcome]) => ({
    runId,
    batchNo: Number(batchNo),
    outcome,
    statusMessage: outcome === "accepted" ? null : message,
    cutBody: isCut ? cutJsonBody : undefined,
  }));
  await settleBatches(engine.database, settlements, { keepsRows });
}

async function all(filter: RecordFilter): Promise<RowRecord[]> {
  const found: RowRecord[] = [];
  for await (const records of readRecords(engine.database.db, filter)) found.push(...records);
  return found;
}

const brief = (records: readonly RowRecord[]) =>
  records.map(({ identifier, status, status_message: message }) => [identifier, status, message]);

const rowCounts = async (filter: RecordFilter): Promise<Partial<Record<RecordStatus, number>>> =>
  Object.fromEntries(
    Object.entries(await countRecords(engine.database.db, filter))
      .filter(([, { rows }]) => rows > 0)
      .map(([status, { rows }]) => [status, rows]),
  );

describe("the records of a run", () => {
  test("are its rows as they were sent, with what became of each", async () => {
    const { run, filter } = await planned(
      `select 9007199254740993 + n as id, e'{\\n"a": [1, {"b": "]"}]}'::json as plan from generate_series(1, 5) n`,
      { batchSize: 2 },
    );
    await settle(run.runId, { 1: "accepted", 2: "rejected", 3: "unavailable" }, { message: "HTTP 422: no" });
    const records = await all(filter);
    expect(brief(records)).toEqual([
      ["9007199254740994", "succeeded", null],
      ["9007199254740995", "succeeded", null],
      ["9007199254740996", "rejected", "HTTP 422: no"],
      ["9007199254740997", "rejected", "HTTP 422: no"],
      ["9007199254740998", "unavailable", "HTTP 422: no"],
    ]);
    expect(records[0]).toEqual({
      identifier: "9007199254740994",
      record_payload: '{"unique_id":"9007199254740994","plan":{ "a": [1, {"b": "]"}]}}',
      operation: "upsert",
      status: "succeeded",
      status_message: null,
      batch_started_at: null,
      batch_completed_at: expect.any(Date),
      sync_configuration_id: filter.syncId,
      sync_run_id: run.runId,
      rows: 1,
      cursor: "b1.0",
    });
    expect(await rowCounts(filter)).toEqual({ succeeded: 2, rejected: 2, unavailable: 1 });
    expect(await areRecordsKept(engine.database.db, run.runId)).toBe(true);
  });

  test("are pending until their batch has an outcome, and left out when they were never sent", async () => {
    const { run, filter } = await planned(rowsUpTo(3), { batchSize: 1 });
    expect(brief(await all(filter))).toEqual([
      ["1", "pending", null],
      ["2", "pending", null],
      ["3", "pending", null],
    ]);
    await settle(run.runId, { 1: "accepted", 2: "dropped" }, { message: "run_ended" });
    await releaseSync(engine.database.db, filter.syncId, run.runId);
    expect(brief(await all(filter))).toEqual([["1", "succeeded", null]]);
    expect(await rowCounts(filter)).toEqual({ succeeded: 1 });
  });

  test("stay for a batch that was withdrawn while it was being sent", async () => {
    const { run, filter } = await planned(rowsUpTo(2), { batchSize: 1 });
    await withdrawBatches(engine.database.db, run.runId, [1, 2]);
    await settle(run.runId, { 1: "accepted", 2: "dropped" });
    expect((await all(filter)).map(({ record_payload }) => record_payload)).toEqual([
      '{"unique_id":1,"plan":"p1"}',
    ]);
  });

  test("of a batch that was split are those of its halves, each row once", async () => {
    const { run, filter } = await planned(rowsUpTo(5), { batchSize: 5 });
    const refused = { message: "HTTP 422: bad", isCut: true };
    await settle(run.runId, { 1: "rejected" }, refused);
    await settle(run.runId, { 2: "accepted", 3: "rejected" }, refused);
    await settle(run.runId, { 4: "accepted", 5: "rejected" }, refused);
    const records = await all(filter);
    expect(brief(records)).toEqual([
      ["1", "succeeded", null],
      ["2", "succeeded", null],
      ["3", "succeeded", null],
      ["4", "succeeded", null],
      ["5", "rejected", "HTTP 422: bad"],
    ]);
    expect(records.map(({ record_payload: text }) => JSON.parse(text ?? "null") as unknown)).toEqual(
      [1, 2, 3, 4, 5].map((n) => ({ unique_id: n, plan: `p${n}` })),
    );
    expect(await rowCounts(filter)).toEqual({ succeeded: 4, rejected: 1 });
  });

  test("are as the answer says where it spoke of each row", async () => {
    const { run, filter } = await planned(rowsUpTo(4), { batchSize: 2 });
    await keepRowErrors(engine.database.db, { runId: run.runId, batchNo: 1 }, [null, "row full"]);
    await keepRowErrors(engine.database.db, { runId: run.runId, batchNo: 2 }, ["no", "no"]);
    expect(await rowCounts(filter)).toEqual({ pending: 4 });
    expect(brief(await all({ ...filter, statuses: ["pending"] }))).toHaveLength(4);
    await settle(run.runId, { 1: "accepted", 2: "accepted" });
    expect(brief(await all(filter))).toEqual([
      ["1", "succeeded", null],
      ["2", "rejected", "row full"],
      ["3", "rejected", "no"],
      ["4", "rejected", "no"],
    ]);
    expect(brief(await all({ ...filter, statuses: ["succeeded"] }))).toEqual([["1", "succeeded", null]]);
    expect(brief(await all({ ...filter, statuses: ["rejected"] }))).toHaveLength(3);
    expect(await rowCounts(filter)).toEqual({ succeeded: 1, rejected: 3 });
  });

  test("of a mirror are deletes, too, with what was sent of them", async () => {
    for (const send_full_record_on_delete of [false, true]) {
      const { sync, run } = await planned(rowsUpTo(3), {
        operation: "mirror",
        options: { send_full_record_on_delete },
      });
      await engine.end(sync, run);
      await engine.onSource("delete from people where id > 1; update people set plan = 'new'");
      const next = await engine.plan(sync);
      await settle(next.runId, { 1: "accepted", 2: "accepted" });
      const filter = { runId: next.runId, syncId: sync.id };
      const sent = (await all(filter)).map((each) => [each.operation, each.record_payload]);
      // Deletes come in no order of their own.
      expect([
        ...sent.slice(0, 1),
        ...sent.slice(1).toSorted((a, b) => (String(a[1]) < String(b[1]) ? -1 : 1)),
      ]).toEqual([
        ["upsert", '{"unique_id":1,"plan":"new"}'],
        ["delete", send_full_record_on_delete ? '{"unique_id":2,"plan":"p2"}' : '{"unique_id":2}'],
        ["delete", send_full_record_on_delete ? '{"unique_id":3,"plan":"p3"}' : '{"unique_id":3}'],
      ]);
      expect(brief(await all({ ...filter, operation: "delete" }))).toHaveLength(2);
      expect(await rowCounts({ ...filter, operation: "delete" })).toEqual({ succeeded: 2 });
      await engine.onSource("drop table people");
    }
  });

  test("begin with the rows that were set aside, and why", async () => {
    const { run, filter } = await planned(
      `values (null, 'a'), (null, 'b'), ('x', 'c'), ('x', 'd'), ('x', 'e'), ('ok', 'f'), (repeat('k', 2001), 'g')`,
      {
        object: {
          type: "model",
          modelId: 1,
          name: "people",
          query: "select column1 as id, column2 as plan from people",
        },
      },
    );
    await settle(run.runId, { 1: "accepted" });
    const records = await all(filter);
    records.splice(1, 2, ...records.slice(1, 3).toSorted((a, b) => a.rows - b.rows));
    expect(brief(records)).toEqual([
      [null, "NULL", "The key of 2 rows is NULL"],
      ["k".repeat(200), "INVALID", "The key is too long"],
      ["x", "DUPLICATE", "3 rows have this key"],
      ["ok", "succeeded", null],
    ]);
    expect(records.map(({ rows, operation }) => [rows, operation])).toEqual([
      [2, null],
      [1, null],
      [3, null],
      [1, "upsert"],
    ]);
    expect(await rowCounts(filter)).toEqual({ NULL: 2, DUPLICATE: 3, INVALID: 1, succeeded: 1 });
    expect(await rowCounts({ ...filter, identifier: "k".repeat(2001) })).toEqual({ INVALID: 1 });
    expect(brief(await all({ ...filter, statuses: ["DUPLICATE"] }))).toHaveLength(1);
    expect(brief(await all({ ...filter, operation: "upsert" }))).toEqual([["ok", "succeeded", null]]);
  });

  test("are found by their exact key", async () => {
    const { run, filter } = await planned(`values ('a'), ('A'), ('a '), ('%'), ('🦢'), ('it''s')`, {
      object: {
        type: "model",
        modelId: 1,
        name: "p",
        query: "select column1 as id, 'x' as plan from people",
      },
      batchSize: 2,
    });
    await settle(run.runId, { 1: "accepted", 2: "accepted", 3: "accepted" });
    for (const identifier of ["a", "A", "a ", "%", "🦢", "it's"]) {
      expect((await all({ ...filter, identifier })).map((each) => each.identifier)).toEqual([identifier]);
      expect(await rowCounts({ ...filter, identifier })).toEqual({ succeeded: 1 });
    }
    expect(await all({ ...filter, identifier: "b" })).toEqual([]);
  });
});

describe("pages", () => {
  const ROWS = 10_000;

  test("of ten thousand rows hold each row once, by cursor and by number, whatever they are cut into", async () => {
    const { run, filter } = await planned(
      `${rowsUpTo(ROWS)} union all select null, 'x' union all select -n, 'd' from generate_series(1, 60) n, generate_series(1, 2)`,
      { batchSize: 7 },
    );
    const outcomes = Object.fromEntries(
      Array.from({ length: run.batches }, (_, index) => [
        index + 1,
        index % 3 === 0 ? "rejected" : "accepted",
      ]),
    ) as Record<number, BatchOutcome>;
    await keepRowErrors(engine.database.db, { runId: run.runId, batchNo: 2 }, [
      null,
      "no",
      null,
      "no",
      null,
      "no",
      null,
    ]);
    await settle(run.runId, outcomes, { message: "HTTP 400" });
    const whole = await all(filter);
    expect(whole).toHaveLength(ROWS + 61);
    expect(new Set(whole.map(({ cursor }) => cursor)).size).toBe(ROWS + 61);
    const { db } = engine.database;
    const byCursor: RowRecord[] = [];
    for (let after: string | undefined; ; ) {
      const page = await listRecords(db, { ...filter, after, limit: 997 });
      byCursor.push(...page);
      if (page.length < 997) break;
      after = page.at(-1)?.cursor;
    }
    expect(byCursor).toEqual(whole);
    for (const statuses of [undefined, ["rejected"], ["succeeded", "NULL"], ["DUPLICATE"]] as const) {
      const wanted = { ...filter, statuses };
      const fitting = whole.filter(
        ({ status }) => (statuses as readonly string[] | undefined)?.includes(status) ?? true,
      );
      const counts = await countRecords(db, wanted);
      expect(Object.values(counts).reduce((sum, { records }) => sum + records, 0)).toBe(fitting.length);
      for (const offset of [0, 1, 59, 61, 62, 100, 3_333, fitting.length - 1, fitting.length, 20_000]) {
        const page = await listRecords(db, { ...wanted, offset, limit: 25 });
        expect(page.map(({ cursor }) => cursor)).toEqual(
          fitting.slice(offset, offset + 25).map(({ cursor }) => cursor),
        );
      }
    }
  }, 60_000);

  test("are read some megabytes at a time, however long the rows are", async () => {
    const { run, filter } = await planned(
      `select n as id, repeat('x', 900000) as plan from generate_series(1, 40) n`,
      { batchSize: 1 },
    );
    await settle(
      run.runId,
      Object.fromEntries(Array.from({ length: 40 }, (_, n) => [n + 1, "accepted" as const])),
    );
    const read: number[] = [];
    const db = engine.database.db.withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: ({ result }) => {
        read.push(
          result.rows.reduce<number>((sum, { body }) => sum + ((body as Buffer | undefined)?.length ?? 0), 0),
        );
        return Promise.resolve(result);
      },
    });
    let rows = 0;
    for await (const records of readRecords(db, filter)) rows += records.length;
    expect(rows).toBe(40);
    expect(read.filter((bytes) => bytes > 0).length).toBeGreaterThan(3);
    expect(Math.max(...read)).toBeLessThan(12_000_000);
  });
});

describe("retention", () => {
  const settledBatch = async (runId: number) =>
    (
      await engine.database.pool.query(
        `select body, keys, row_errors, request, source_records, hashes, row_records, outcome, records, rejected_records
         from egret.batches where run_id = $1 order by batch_no`,
        [runId],
      )
    ).rows as Record<string, unknown>[];
  const drop = (options: {
    beforeRun: number;
    isDryRun?: boolean;
    activeRuns?: number[];
    signal?: AbortSignal;
  }) => dropSentRows(engine.database.pool, { activeRuns: [], isDryRun: false, ...options });

  test("of none lets rows go with their outcome; how many they were is still known", async () => {
    const { run, filter } = await planned(rowsUpTo(4), { batchSize: 2 });
    await settle(run.runId, { 1: "accepted", 2: "rejected" }, { message: "HTTP 400", keepsRows: false });
    expect(await all(filter)).toEqual([]);
    expect(await rowCounts(filter)).toEqual({ succeeded: 2, rejected: 2 });
    expect(await areRecordsKept(engine.database.db, run.runId)).toBe(false);
    for (const batch of await settledBatch(run.runId))
      expect(batch).toMatchObject({ body: null, keys: null });
  });

  test("takes every value of the rows, and nothing of a run that goes on or is younger", async () => {
    await drop({ beforeRun: 1_000_000 });
    const old = await planned(rowsUpTo(4), { batchSize: 2 });
    await keepRowErrors(engine.database.db, { runId: old.run.runId, batchNo: 2 }, [null, "secret"]);
    await settle(old.run.runId, { 1: "accepted", 2: "accepted" });
    await releaseSync(engine.database.db, old.filter.syncId, old.run.runId);
    await engine.onSource("drop table people");
    const active = await planned(rowsUpTo(2), { batchSize: 1 });
    await settle(active.run.runId, { 1: "accepted" });
    const [first, second] = [old.run.runId, active.run.runId];
    expect(await drop({ beforeRun: first })).toBe(0);
    expect(await drop({ beforeRun: second + 1, activeRuns: [second], isDryRun: true })).toBe(4);
    expect(await all(old.filter)).toHaveLength(4);
    expect(await drop({ beforeRun: second + 1, activeRuns: [second] })).toBe(4);
    expect(await drop({ beforeRun: second + 1, activeRuns: [second] })).toBe(0);
    for (const batch of await settledBatch(first)) {
      const { outcome: _o, records: _r, rejected_records: _j, ...values } = batch;
      expect(Object.values(values).every((value) => value === null)).toBe(true);
    }
    expect(await rowCounts(old.filter)).toEqual({ succeeded: 3, rejected: 1 });
    expect(await areRecordsKept(engine.database.db, first)).toBe(false);
    expect(await all(active.filter)).toHaveLength(2);
    // Released since, and its one batch that was never sent has nothing to lose.
    await releaseSync(engine.database.db, active.filter.syncId, second);
    expect(await drop({ beforeRun: second + 1 })).toBe(1);
  });

  test("goes on in chunks by size and by number, and between two hears that it is to stop", async () => {
    await drop({ beforeRun: 1_000_000 });
    const { run, filter } = await planned(rowsUpTo(5_200), { batchSize: 1 });
    await settle(
      run.runId,
      Object.fromEntries(Array.from({ length: 5_200 }, (_, n) => [n + 1, "accepted" as const])),
    );
    await engine.database.pool.query(
      "update egret.batches set body = convert_to(repeat('x', 5000000), 'utf8') where run_id = $1 and batch_no <= 15",
      [run.runId],
    );
    await releaseSync(engine.database.db, filter.syncId, run.runId);
    const stopped = drop({ beforeRun: run.runId + 1, signal: AbortSignal.abort(new Error("stop")) });
    await expect(stopped).rejects.toThrow("stop");
    expect(await drop({ beforeRun: run.runId + 1 })).toBe(5_200);
    expect((await settledBatch(run.runId)).every(({ body, keys }) => body === null && keys === null)).toBe(
      true,
    );
  }, 60_000);
});
