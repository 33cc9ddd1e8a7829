import { beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../src/domain/configuration.ts";
import {
  type EngineFixture,
  HOMES,
  makeSync,
  openEngine,
  type PlannedRun,
  type SentBatch,
} from "./fixture.ts";

/** What becomes of a row, in the words of the table in behaviour.md 2.2. */
type Cell = "skip" | "send" | "send delete" | "no" | "keep state" | "drop from state";
type Class = "NULL key" | "duplicate key" | "record too long" | "added" | "changed" | "unchanged" | "gone";

const invalid = { "NULL key": "skip", "duplicate key": "skip", "record too long": "skip" } as const;
const TABLE: Record<Operation, Record<Class, Cell>> = {
  upsert: { ...invalid, added: "send", changed: "send", unchanged: "no", gone: "keep state" },
  update: { ...invalid, added: "send", changed: "send", unchanged: "no", gone: "keep state" },
  insert: { ...invalid, added: "send", changed: "no", unchanged: "no", gone: "keep state" },
  append: { ...invalid, added: "send", changed: "no", unchanged: "no", gone: "keep state" },
  mirror: { ...invalid, added: "send", changed: "send", unchanged: "no", gone: "send delete" },
  delete: { ...invalid, added: "send delete", changed: "no", unchanged: "no", gone: "drop from state" },
};

/** The key of the one row of each class. */
const KEYS: Record<Class, string | null> = {
  "NULL key": null,
  "duplicate key": "twice",
  "record too long": "long",
  added: "added",
  changed: "changed",
  unchanged: "unchanged",
  gone: "gone",
};

const CLASSES = Object.keys(KEYS) as Class[];
const OPERATIONS = Object.keys(TABLE) as Operation[];
const MIRROR_STATE_KEEPS: Record<Cell, (operation: Operation) => boolean> = {
  skip: () => false,
  send: () => true,
  // What a mirror deleted is forgotten; what a list of deletes asked for is remembered as done.
  "send delete": (operation) => operation === "delete",
  no: () => true,
  "keep state": () => true,
  "drop from state": () => false,
};

describe.each(HOMES)("with %s state", (home) => {
  let engine: EngineFixture;
  beforeAll(async () => {
    engine = await openEngine({ home });
  });

  describe.each(OPERATIONS)("%s", (operation) => {
    const syncId = 1 + OPERATIONS.indexOf(operation);
    let first: PlannedRun;
    let second: PlannedRun;
    let batches: SentBatch[];
    let invalidRows: { identifier: string | null; rows: number }[];
    let state: string[];

    beforeAll(async () => {
      const name = `rows_of_${operation}`;
      // The tests' role may be named as the bookkeeping schema is, which then comes first.
      const table = `public.${name}`;
      await engine.onSource(`create table ${table} (id text, plan text)`);
      await engine.onSource(
        `insert into ${table} values ('changed', 'a'), ('unchanged', 'a'), ('gone', 'a')`,
      );
      const sync = makeSync({
        sourceUrl: engine.sourceUrl,
        syncId,
        operation,
        object: { type: "table", schema: "public", table: name },
      });
      first = await engine.plan(sync);
      await engine.end(sync, first);
      await engine.onSource(`delete from ${table} where id = 'gone'`);
      await engine.onSource(`update ${table} set plan = 'b' where id = 'changed'`);
      await engine.onSource(
        `insert into ${table} values (null, 'a'), ('twice', 'a'), ('twice', 'b'), ('long', repeat('x', 1048577)), ('added', 'a')`,
      );
      second = await engine.plan(sync);
      batches = await engine.sent(second.runId);
      invalidRows = await engine.database.db
        .selectFrom("egret.invalid_rows")
        .select(["identifier", "rows"])
        .where("run_id", "=", second.runId)
        .execute();
      await engine.end(sync, second);
      state = await engine.state(syncId);
    });

    test.each(CLASSES)("treats a row of class %s as the table has it", (kind) => {
      const cell = TABLE[operation][kind];
      const key = KEYS[kind];
      const carrying = batches.filter(({ data }) => data.some((record) => record["unique_id"] === key));
      const expected = { send: ["changed"], "send delete": ["deleted"] }[cell as string] ?? [];
      expect(carrying.map((batch) => batch.operation)).toEqual(expected);
      expect(state.includes(String(key))).toBe(MIRROR_STATE_KEEPS[cell](operation));
      const setAside = invalidRows.filter(({ identifier }) => identifier === key);
      const counted = kind === "duplicate key" ? 2 : cell === "skip" ? 1 : 0;
      expect(setAside.reduce((sum, { rows }) => sum + rows, 0)).toBe(counted);
    });

    test("sends everything on its first run, and deletes nothing of a mirror", () => {
      expect(first).toMatchObject({ reasons: ["first_run"], fullSync: true, updates: 3, deletes: 0 });
    });

    test("counts what it sends: updates and deletes are the rows of its batches", () => {
      const cells = Object.values(TABLE[operation]);
      const deletes = operation === "mirror" ? 1 : 0;
      const sent = cells.filter((cell) => cell.startsWith("send")).length;
      expect(second).toMatchObject({ fullSync: false, updates: sent - deletes, deletes, invalids: 4 });
      expect(batches.reduce((sum, { data }) => sum + data.length, 0)).toBe(second.updates + second.deletes);
      expect(second.batches).toBe(batches.length);
    });

    test("says in each batch what is asked of the destination", async () => {
      const stored = await engine.database.db
        .selectFrom("egret.batches")
        .select("operation")
        .distinct()
        .where("run_id", "in", [first.runId, second.runId])
        .orderBy("operation")
        .execute();
      const mirrored = ["delete", "upsert"];
      expect(stored.map((row) => row.operation)).toEqual(operation === "mirror" ? mirrored : [operation]);
    });
  });
});
