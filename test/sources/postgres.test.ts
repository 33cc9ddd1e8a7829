import { beforeAll, describe, expect, test } from "vitest";
import type { Source } from "../../src/domain/configuration.ts";
import { InvalidInput, RunFailure } from "../../src/domain/errors.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { type EngineFixture, openEngine } from "../engine/fixture.ts";
import { sourceSuite } from "../suites/sourceSuite.ts";

let engine: EngineFixture;
let source: Source;
beforeAll(async () => {
  engine = await openEngine();
  source = { id: 1, workspaceId: 1, name: "warehouse", type: "postgres", url: engine.sourceUrl };
  await engine.onSource("create table people (id int, name varchar(20), seen timestamptz(3), tags text[])");
  await engine.onSource("create table secrets (v text)");
  await engine.onSource("insert into secrets values ('hunter2')");
});

sourceSuite("postgres", {
  reader: postgresSource,
  source: () => source,
  write: (sql) => engine.onSource(sql),
  longQuery: (rows) => `select repeat('x', 1000) from generate_series(1, ${rows})`,
  slowQuery: "select pg_sleep(60)",
  unreachable: (password) => ({ ...source, url: `postgres://someone:${password}@127.0.0.1:1/db` }),
});

const model = (query: string) => ({ type: "model", modelId: 1, name: "m", query }) as const;
const describeModel = (query: string) => postgresSource.describeObject(source, model(query));

async function caught(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => new Error("it did not fail"),
    (error: Error) => error,
  );
}

/** Everything that a logger could print of an error. */
function printed(error: Error): string {
  const parts: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    parts.push(each.message, JSON.stringify(each), each.stack ?? "");
  }
  return parts.join("\n");
}

describe("describeObject", () => {
  test("gives names and types of a table's columns", async () => {
    expect(
      await postgresSource.describeObject(source, { type: "table", schema: "public", table: "people" }),
    ).toEqual([
      { name: "id", type: "integer" },
      { name: "name", type: "character varying(20)" },
      { name: "seen", type: "timestamp(3) with time zone" },
      { name: "tags", type: "text[]" },
    ]);
  });

  test.each([
    ["a select", "select 1 as a"],
    ["a trailing semicolon and white space", "select 1 as a ;\n ;  "],
    ["a last line comment", "select 1 as a -- the end"],
    ["a with", "with x as (select 1 as a) select * from x"],
    ["a semicolon inside a text", "select length(';') as a"],
    ["values", "select * from (values (1)) v (a)"],
  ])("takes %s", async (_what, query) => {
    expect(await describeModel(query)).toEqual([{ name: "a", type: "integer" }]);
  });

  test.each([
    ["two statements", "select 1 as a; select 2 as a", "it holds several statements"],
    ["a statement hidden behind a bracket", "select 1 as a) as m; drop table people; --", "syntax error"],
    [
      "a query that closes our bracket and opens its own",
      "select 1 as a) as x, (select 2 as b",
      "syntax error",
    ],
    ["an update", "update people set id = 2", "syntax error"],
    ["an update after a semicolon", "; update people set id = 2", "syntax error"],
    [
      "a WITH that changes data",
      "with x as (delete from people returning id) select * from x",
      "data-modifying",
    ],
    ["a select into a table", "select 1 as a into created", "INTO"],
    ["nothing", "  ", "it is empty"],
    ["only semicolons", ";;", "it is empty"],
    ["an open comment", "select 1 /* a", "unterminated"],
    ["a copy to a program", "copy people to program 'true'", "syntax error"],
  ])("refuses %s", async (_what, query, message) => {
    const error = await caught(describeModel(query));
    expect(error).toBeInstanceOf(InvalidInput);
    expect(error.message).toMatch(/^Model m is not exactly one SELECT: /);
    expect(error.message).toContain(message);
    expect((error as InvalidInput).problems[0]?.field).toBe("models.m.query");
    expect((await engine.onSource("select to_regclass('people') is not null as there")).rows[0]).toEqual({
      there: true,
    });
  });

  test("refuses two columns of one name, and none at all", async () => {
    expect((await caught(describeModel("select 1 as a, 2 as a"))).message).toContain("has two columns a");
    expect((await caught(describeModel("select"))).message).toContain("has no columns");
  });

  test("reads nothing: a query that would fail on its rows is described", async () => {
    expect(await describeModel("select v::int as a from secrets")).toEqual([{ name: "a", type: "integer" }]);
  });

  test("says which table is missing", async () => {
    const error = await caught(describeModel("select * from nowhere"));
    expect(error).toMatchObject({ runCode: "SOURCE_QUERY_FAILED" });
    expect(error.message).toContain('relation "nowhere" does not exist');
  });
});

describe("a snapshot", () => {
  async function readAll(sql: string): Promise<Error | number> {
    const snapshot = await postgresSource.openSnapshot(source);
    try {
      let bytes = 0;
      for await (const chunk of await snapshot.copyOut(sql)) bytes += (chunk as Buffer).length;
      return bytes;
    } catch (error) {
      return error as Error;
    } finally {
      await snapshot.close();
    }
  }

  test("cannot write, even through a function", async () => {
    await engine.onSource("create sequence counter");
    const error = (await readAll("select nextval('counter')")) as RunFailure;
    expect(error).toMatchObject({ runCode: "SOURCE_QUERY_FAILED" });
    expect(error.message).toContain("read-only");
  });

  test("takes one query and no second statement", async () => {
    expect(await readAll("select 1) to stdout; commit; drop table people; --")).toMatchObject({
      runCode: "SOURCE_QUERY_FAILED",
    });
    expect((await engine.onSource("select to_regclass('people') is not null as there")).rows[0]).toEqual({
      there: true,
    });
  });

  test("tells a data error by its name, without the value", async () => {
    const error = (await readAll("select v::int from secrets")) as RunFailure;
    expect(error).toBeInstanceOf(RunFailure);
    expect(error.runCode).toBe("SOURCE_QUERY_FAILED");
    expect(error.message).toContain("invalid text representation (SQLSTATE 22P02)");
    expect(printed(error)).not.toContain("hunter2");
  });

  test("does not repeat what a function of the source raises", async () => {
    await engine.onSource(
      "create function boom(v text) returns int language plpgsql as $$ begin raise exception 'bad %', v; end $$",
    );
    const error = (await readAll("select boom(v) from secrets")) as RunFailure;
    expect(error.message).toContain("raise exception (SQLSTATE P0001)");
    expect(printed(error)).not.toContain("hunter2");
  });

  test("gives a statement as long as the source's address says", async () => {
    const url = new URL(engine.sourceUrl);
    url.searchParams.set("statement_timeout", "100");
    const snapshot = await postgresSource.openSnapshot({ ...source, url: url.href });
    const read = async () => (await snapshot.copyOut("select pg_sleep(60)")).toArray();
    expect(await caught(read())).toMatchObject({
      runCode: "SOURCE_TIMEOUT",
      detail: expect.stringContaining("statement_timeout=<ms>") as string,
    });
    await snapshot.close();
  });

  test("fails when the source ends the connection in the middle", async () => {
    const snapshot = await postgresSource.openSnapshot(source);
    const read = async () => {
      const stream = await snapshot.copyOut("select repeat('x', 1000) from generate_series(1, 10000000)");
      let chunks = 0;
      for await (const chunk of stream) {
        chunks += (chunk as Buffer).length > 0 ? 1 : 0;
        if (chunks !== 1) continue;
        await engine.onSource(
          "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY%generate_series(1, 10000000)%'",
        );
      }
    };
    expect(await caught(read())).toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
    await snapshot.close();
  });
});

describe("a source that cannot be reached", () => {
  const open = (url: string) => caught(postgresSource.openSnapshot({ ...source, url }));

  test.each([
    ["nobody listens", "postgres://someone:hunter2@127.0.0.1:1/db", "ECONNREFUSED"],
    ["the name is unknown", "postgres://someone:hunter2@nowhere.invalid/db", "the connection failed"],
    ["the address is none", "postgres://someone:hunter2@[bad/db", "has no valid address"],
  ])("fails when %s, without the password", async (_what, url, message) => {
    const error = await open(url);
    expect(error).toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
    expect(error.message).toContain(message);
    expect(printed(error)).not.toContain("hunter2");
  });

  test("names the database that does not exist", async () => {
    const url = new URL(engine.sourceUrl);
    url.pathname = "/nowhere";
    const error = await open(url.href);
    expect(error).toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
    expect(error.message).toContain('database "nowhere" does not exist');
  });
});
