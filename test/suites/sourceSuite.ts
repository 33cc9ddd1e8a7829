/** What every kind of source must do, against a real server: what the engine relies on, whoever answers it. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Mapping, Operation, Source, Sync, SyncObject } from "../../src/domain/configuration.ts";
import { InvalidInput, type RunFailure } from "../../src/domain/errors.ts";
import type { SyncOptions } from "../../src/domain/syncOptions.ts";
import { CopyBinaryReader } from "../../src/engine/copyBinary.ts";
import { recordOf } from "../../src/engine/invalidRows.ts";
import type { CompiledSync, SourceLimits, SourceReader, SourceSnapshot } from "../../src/sources/source.ts";
import { makeSync } from "../engine/fixture.ts";

/** A password that no error may repeat. */
const PASSWORD = "hunter2";

/** One kind of source as the suite sees it. */
export interface SourceUnderTest {
  reader: SourceReader;
  source(): Source;
  /** Runs plain SQL on the source, as its owner. */
  write(sql: string): Promise<unknown>;
  /** A query of that many rows of a kilobyte, and one that takes a minute: each source has its own words for them. */
  longQuery(rows: number): string;
  slowQuery: string;
  /** A source with that password at an address at which nobody listens. */
  unreachable(password: string): Source;
}

const KEY: Mapping = { column: "id", to: "unique_id", key: true };
const NAME: Mapping = { column: "name", to: "name" };
const RUN = { runId: 7011, startedAt: new Date("2026-02-03T10:00:00.123Z") };
const model = (query: string): SyncObject => ({ type: "model", modelId: 1, name: "m", query });
const table = (name: string): SyncObject => ({ type: "table", schema: "public", table: name });

/** How an error ends up before people: with all that a logger prints. */
function printed(error: Error): string {
  const parts: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause)
    parts.push(each.message, JSON.stringify(each), each.stack ?? "");
  return parts.join("\n");
}

async function caught(promise: Promise<unknown>): Promise<RunFailure> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: RunFailure) => error,
  );
}

type Fields = (Buffer | null)[];

async function rowsOf(snapshot: SourceSnapshot, sql: string): Promise<Fields[]> {
  const reader = new CopyBinaryReader();
  const rows: Fields[] = [];
  for await (const chunk of (await snapshot.copyOut(sql)) as AsyncIterable<Buffer>)
    reader.push(chunk, (fields) => rows.push(fields.map((field) => field && Buffer.from(field))));
  expect(reader.ended).toBe(true);
  return rows;
}

/** Runs the contract. */
export function sourceSuite(name: string, subject: SourceUnderTest): void {
  const { reader, write } = subject;

  /** A sync over the object, compiled as the source is now. */
  async function compiled(
    object: SyncObject,
    mappings: Mapping[] = [NAME],
    parts: { operation?: Operation; options?: Partial<SyncOptions> } = {},
  ): Promise<CompiledSync> {
    const made = makeSync({ sourceUrl: "", object, mappings: [KEY, ...mappings], ...parts });
    const sync: Sync = { ...made, source: subject.source() };
    return reader.compile(sync, await reader.describeObject(sync.source, object));
  }

  async function withSnapshot<T>(
    use: (snapshot: SourceSnapshot) => Promise<T>,
    limits?: SourceLimits,
  ): Promise<T> {
    const snapshot = await reader.openSnapshot(subject.source(), limits);
    try {
      return await use(snapshot);
    } finally {
      await snapshot.close();
    }
  }

  /** Key and hash of each row. */
  async function hashes(of: CompiledSync, sql = of.keysSql): Promise<[string | null, string][]> {
    const rows = await withSnapshot((snapshot) => rowsOf(snapshot, sql));
    return rows
      .map(([key, hash]): [string | null, string] => [key?.toString() ?? null, hash?.toString("hex") ?? ""])
      .sort(([a], [b]) => String(a).localeCompare(String(b)));
  }

  /** Key, hash and record of each row. */
  async function records(of: CompiledSync, sql: string): Promise<[string | null, string, unknown][]> {
    const rows = await withSnapshot((snapshot) => rowsOf(snapshot, sql));
    return rows
      .map(([key, hash, raw]): [string | null, string, unknown] => {
        const built = recordOf(of, raw ?? null);
        const record: unknown = "record" in built ? JSON.parse(built.record.toString()) : built.invalid;
        return [key?.toString() ?? null, hash?.toString("hex") ?? "", record];
      })
      .sort(([a], [b]) => String(a).localeCompare(String(b)));
  }

  describe(`${name} as a source`, () => {
    beforeAll(async () => {
      await write("create table suite_people (id varchar(50), name varchar(50), age integer)");
      await write("insert into suite_people values ('a', 'Ada', 36), ('A', 'Alan', 41), ('é ', null, 7)");
      await write("create view suite_adults as select * from suite_people where age > 18");
      await write("create table suite_odd (id varchar(50), name varchar(50))");
      await write("insert into suite_odd values (null, 'x'), ('twice', 'x'), ('twice', 'y'), ('', 'z')");
      await write(`create table suite_secrets (v varchar(50))`);
      await write(`insert into suite_secrets values ('${PASSWORD}')`);
    });

    test("tells the columns of a table, of a view and of a model, in their order and by type", async () => {
      const people = await reader.describeObject(subject.source(), table("suite_people"));
      expect(people.map((column) => column.name)).toEqual(["id", "name", "age"]);
      for (const { type } of people) expect(type).not.toBe("");
      expect(await reader.describeObject(subject.source(), table("suite_adults"))).toEqual(people);
      const query = "select id, name, age from suite_people -- of everyone\n;";
      expect(await reader.describeObject(subject.source(), model(query))).toEqual(people);
    });

    test.each([
      ["two statements", "select id from suite_people; select 2 as id"],
      ["a statement hidden behind a bracket", "select 1 as id) as m; delete from suite_people; --"],
      ["a delete", "delete from suite_people"],
      ["nothing", " ;"],
    ])("takes no %s for a model, and nothing happens", async (_what, query) => {
      expect(await caught(reader.describeObject(subject.source(), model(query)))).toBeInstanceOf(
        InvalidInput,
      );
      expect(await hashes(await compiled(table("suite_people")))).toHaveLength(3);
    });

    test("misses a table, and a mapped column, by name", async () => {
      const gone = await caught(reader.describeObject(subject.source(), table("suite_nowhere")));
      expect(gone).toMatchObject({ runCode: "SOURCE_QUERY_FAILED" });
      expect(gone.message).toContain("suite_nowhere");
      const missing = await caught(compiled(table("suite_people"), [{ column: "plan_tier", to: "plan" }]));
      expect(missing).toMatchObject({ runCode: "SOURCE_COLUMN_MISSING" });
      expect(missing.message).toContain("plan_tier");
    });

    test("gives each row its key as it is, rows without one and with that of another as well", async () => {
      const keys = async (of: string) => (await hashes(await compiled(table(of)))).map(([key]) => key);
      expect(new Set(await keys("suite_people"))).toEqual(new Set(["A", "a", "é "]));
      expect(await keys("suite_odd")).toEqual(["", null, "twice", "twice"]);
    });

    test("hashes what is mapped: the same row the same, run after run, and another one otherwise", async () => {
      await write("create table suite_edits as select id, name, age from suite_people");
      const sync = await compiled(table("suite_edits"));
      const before = await hashes(sync);
      expect(new Set(before.map(([, hash]) => hash)).size).toBe(3);
      await write("update suite_edits set age = age + 1");
      expect(await hashes(await compiled(table("suite_edits")))).toEqual(before);
      await write("update suite_edits set name = 'Ada L' where id = 'a'");
      const after = new Map(await hashes(sync));
      const differs = before.filter(([key, hash]) => after.get(key) !== hash).map(([key]) => key);
      expect(differs).toEqual(["a"]);
    });

    test("gives records of all rows, or of those with some keys, under the hashes of the first pass", async () => {
      const age: Mapping = { column: "age", to: "years" };
      const sync = await compiled(table("suite_people"), [NAME, age, { constant: "x", to: "fixed" }]);
      const all = await records(sync, sync.recordsSql(null, RUN));
      expect(all.map(([key, hash]) => [key, hash])).toEqual(await hashes(sync));
      expect(new Map(all.map(([key, , record]) => [key, record]))).toEqual(
        new Map([
          ["a", { unique_id: "a", name: "Ada", years: 36, fixed: "x" }],
          ["A", { unique_id: "A", name: "Alan", years: 41, fixed: "x" }],
          ["é ", { unique_id: "é ", name: null, years: 7, fixed: "x" }],
        ]),
      );
      const some = await records(sync, sync.recordsSql(["A", "é ", "none of ' these"], RUN));
      expect(some).toEqual(all.filter(([key]) => key !== "a"));
    });

    test("makes records by templates and facts of the run, and says of which row it cannot", async () => {
      const greeting: Mapping = { template: "Hi {{ record['name'] | upcase }}", to: "greeting" };
      const run: Mapping = { metadata: "sync_run_id", to: "run" };
      const digit: Mapping = { column: "name", to: "digit", field_type: "integer" };
      const sync = await compiled(model("select id, name from suite_people where id = 'a'"), [greeting, run]);
      expect((await records(sync, sync.recordsSql(null, RUN)))[0]?.[2]).toEqual({
        unique_id: "a",
        greeting: "Hi ADA",
        run: RUN.runId,
      });
      const cast = await compiled(table("suite_people"), [digit]);
      const [bad] = await records(cast, cast.recordsSql(["a"], RUN));
      expect(bad?.[2]).toEqual(expect.stringContaining("digit"));
      expect(bad?.[2]).not.toContain("Ada");
    });

    test("hashes by other columns beside its own, until one of them is gone", async () => {
      const sync = await compiled(table("suite_people"));
      const both = await withSnapshot((snapshot) => rowsOf(snapshot, sync.rehashSql(["name", "age"]) ?? ""));
      const own = new Map(await hashes(sync));
      expect(both.map(([key, , hash]) => [key?.toString(), hash?.toString("hex")])).toEqual(
        both.map(([key]) => [key?.toString(), own.get(key?.toString() ?? "")]),
      );
      expect(sync.rehashSql(["name", "plan_tier"])).toBeNull();
    });

    test("has the same fingerprint for the same mappings, and another one for others", async () => {
      const first = await compiled(table("suite_people"));
      expect((await compiled(table("suite_people"))).fingerprint).toEqual(first.fingerprint);
      const more = await compiled(table("suite_people"), [NAME, { column: "age", to: "age" }]);
      expect(more.fingerprint).not.toEqual(first.fingerprint);
    });

    test("finds new rows by timestamps only where a sync asks for it", async () => {
      await write("create table suite_events (id varchar(50), name varchar(50), at timestamp)");
      await write(
        "insert into suite_events values ('1', 'x', '2026-02-03 10:00:00'), ('2', 'x', '2026-02-03 11:00:00')",
      );
      expect((await compiled(table("suite_events"))).windows).toBeNull();
      const { windows } = await compiled(table("suite_events"), [NAME], {
        operation: "append",
        options: { high_water_mark_attribute: "at" },
      });
      const [bounds] = await withSnapshot((snapshot) => rowsOf(snapshot, windows?.boundsSql(null) ?? ""));
      const [count, mark] = bounds ?? [];
      expect(count?.toString()).toBe("2");
      const window = { from: null, to: mark?.toString() ?? "", retry: [] };
      const rows = await withSnapshot((snapshot) => rowsOf(snapshot, windows?.keysSql(window) ?? ""));
      // The row at the mark itself waits for a later one.
      expect(new Map(rows.map(([key, , place]) => [key?.toString(), place?.readInt16BE()]))).toEqual(
        new Map([
          ["1", 0],
          ["2", 1],
        ]),
      );
    });

    test("shows one state of itself to a snapshot, however much changes meanwhile", async () => {
      await write("create table suite_moving as select id, name from suite_people");
      const sync = await compiled(table("suite_moving"));
      await withSnapshot(async (snapshot) => {
        const before = await rowsOf(snapshot, sync.keysSql);
        await write("insert into suite_moving values ('new', 'New')");
        await write("delete from suite_moving where id = 'a'");
        expect(await rowsOf(snapshot, sync.keysSql)).toEqual(before);
        expect(await rowsOf(snapshot, sync.recordsSql(null, RUN))).toHaveLength(before.length);
      });
    });

    test("is only read: one query at a time, and none that changes anything", async () => {
      for (const sql of ["delete from suite_people", "select 1; delete from suite_people"]) {
        const failure = await caught(withSnapshot((snapshot) => rowsOf(snapshot, sql)));
        expect(failure).toMatchObject({ runCode: "SOURCE_QUERY_FAILED" });
      }
      expect(await hashes(await compiled(table("suite_people")))).toHaveLength(3);
    });

    test("gives up at the time limit of a statement", async () => {
      const slow = withSnapshot((snapshot) => rowsOf(snapshot, subject.slowQuery), {
        statementTimeoutMs: 100,
      });
      expect(await caught(slow)).toMatchObject({ runCode: "SOURCE_TIMEOUT" });
    });

    test("lets go in the middle of a stream", async () => {
      const snapshot = await reader.openSnapshot(subject.source());
      const stream = await snapshot.copyOut(subject.longQuery(10_000_000));
      stream.on("error", () => undefined).resume();
      await snapshot.close();
    });

    test("repeats no value of a row when one of them is bad", async () => {
      const sql = "select cast(v as integer) as v from suite_secrets";
      const failure = await caught(withSnapshot((snapshot) => rowsOf(snapshot, sql)));
      expect(failure).toMatchObject({ runCode: "SOURCE_QUERY_FAILED" });
      expect(printed(failure)).not.toContain(PASSWORD);
    });

    test("that cannot be reached says so, without its password", async () => {
      const source = subject.unreachable(PASSWORD);
      for (const ask of [
        () => reader.openSnapshot(source),
        () => reader.describeObject(source, table("suite_people")),
      ]) {
        const failure = await caught(ask());
        expect(failure).toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
        expect(failure.message).toContain(source.name);
        expect(printed(failure)).not.toContain(PASSWORD);
      }
    });
  });
}
