/** A source whose schema moves between runs and under them: each run ends as behaviour.md 2 and 4.4 say, and nothing is lost. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { expectLifecycle, heldRows } from "../support/receiverModel.ts";
import { openGate } from "../support/tcpGate.ts";

const warehouse = await testDatabase();
const gate = await openGate(warehouse.url);
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;

const CASES = [
  "added",
  "dropped",
  "renamed",
  "retyped",
  "rekeyed",
  "unkeyed",
  "viewed",
  "gone",
  "late",
  "cut",
];

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`
    create function passes(place text) returns boolean volatile language plpgsql as $$
    begin
      perform pg_advisory_lock_shared(hashtext(place)), pg_advisory_unlock_shared(hashtext(place))
      where current_query() ~ 'row_to_json';
      return true;
    end $$`);
  for (const name of CASES) {
    await source.query(`
      create table ${name} (id int, name text, age int);
      insert into ${name} select n, 'Person ' || n, n + 20 from generate_series(1, 6) n`);
  }
  // Their rows stop, one by one, in the reading of the records for as long as the test holds a lock.
  for (const name of ["late", "cut"]) {
    await source.query(`alter table ${name} rename to ${name}_rows;
      create view ${name} as select id, name, age from ${name}_rows where passes('${name}')`);
  }
  receiver = await startReceiver();
  await applyYaml(
    egret,
    `
workspace: demo
sources: { db: { type: postgres, url: "${gate.url}" } }
destinations:
${CASES.map((name) => `  ${name}: { type: webhook, url: "${receiver.url}/${name}", batch_size: 4, rate_limit_per_second: 5000 }`).join("\n")}
syncs:
${CASES.map((name) => `  ${name}: { source: db, table: public.${name}, destination: ${name}, key: id, operation: mirror }`).join("\n")}
`,
  );
  await Promise.all(CASES.map((name) => run(name)));
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});

const run = (sync: string) => triggerAndWait(egret, { sync });
const sentTo = (sync: string) => receiver.requests.filter(({ path }) => path === `/${sync}`);
const dataOf = (events: readonly AnyEvent[], type: AnyEvent["type"]) =>
  events.find((event) => event.type === type)?.data;
const person = (n: number, more: object = {}) => ({
  unique_id: n,
  name: `Person ${n}`,
  age: n + 20,
  ...more,
});
const people = (of: (n: number) => unknown = person, count = 6) =>
  new Map(Array.from({ length: count }, (_, n) => [String(n + 1), of(n + 1)]));

/** Runs the sync, which fails before anything is sent, deletes above all. */
async function expectFailure(sync: string, code: string, words: RegExp): Promise<void> {
  const before = sentTo(sync).length;
  const { events } = await run(sync);
  expectLifecycle(events, "sync.failed");
  expect(dataOf(events, "sync.completed")).toMatchObject({
    error_code: code,
    error_message: expect.stringMatching(words) as string,
    records_processed: null,
  });
  expect(sentTo(sync)).toHaveLength(before);
}

async function expectNothingSent(sync: string): Promise<void> {
  const { events } = await run(sync);
  expectLifecycle(events, "sync.success");
  expect(dataOf(events, "sync.planned")).toMatchObject({
    source_record_updates: 0,
    source_record_deletes: 0,
    batches: 0,
  });
}

describe("between two runs", () => {
  test("a column that is added and not mapped sends nothing again", async () => {
    await source.query("alter table added add column extra text default 'x'");
    await expectNothingSent("added");
  });

  test("a mapped column that is dropped fails the run by its name, and its return goes on", async () => {
    await source.query(
      "alter table dropped rename column age to kept; update dropped set name = 'new' where id = 3",
    );
    await expectFailure("dropped", "SOURCE_COLUMN_MISSING", /\bage\b/);
    await source.query("alter table dropped rename column kept to age");
    const { events } = await run("dropped");
    expect(dataOf(events, "sync.planned")).toMatchObject({
      source_record_updates: 1,
      source_record_deletes: 0,
    });
    expect(heldRows(sentTo("dropped"))).toEqual(people((n) => person(n, n === 3 ? { name: "new" } : {})));
  });

  test("the key's column that is renamed fails the run by its name, and deletes nothing", async () => {
    await source.query("alter table renamed rename column id to identifier");
    await expectFailure("renamed", "SOURCE_COLUMN_MISSING", /\bid\b/);
  });

  test("a column of another type is sent in the form of its new type", async () => {
    await source.query("alter table retyped alter column age type text");
    const { events } = await run("retyped");
    expectLifecycle(events, "sync.success");
    expect(heldRows(sentTo("retyped"))).toEqual(people((n) => person(n, { age: String(n + 20) })));
    await expectNothingSent("retyped");
  });

  test("a key of a wider type is the same key", async () => {
    await source.query("alter table rekeyed alter column id type bigint");
    await expectNothingSent("rekeyed");
  });

  test("a key of a type that cannot be one fails the run, and deletes nothing", async () => {
    await source.query("alter table unkeyed alter column id type boolean using id = 1");
    await expectFailure("unkeyed", "CONFIG_INVALID", /\bid\b.*boolean/);
  });

  test("a table that became a view of the same rows sends nothing again", async () => {
    await source.query(
      "alter table viewed rename to viewed_rows; create view viewed as select * from viewed_rows",
    );
    await expectNothingSent("viewed");
  });

  test("a table that is gone fails the run before any delete, and an empty one in its place deletes everything", async () => {
    await source.query("alter table gone rename to gone_rows");
    await expectFailure("gone", "SOURCE_QUERY_FAILED", /gone/);
    await source.query("create table gone (id int, name text, age int)");
    const { events } = await run("gone");
    expect(dataOf(events, "sync.planned")).toMatchObject({
      source_record_updates: 0,
      source_record_deletes: 6,
    });
    expect(heldRows(sentTo("gone")).size).toBe(0);
  });
});

describe("within a run", () => {
  const withoutAge = (view: string) => `begin; drop view ${view};
    create view ${view} as select id, name from ${view}_rows; commit`;

  /** Holds the run at its first record, hands over while it stands there, and lets it go. */
  async function heldAtRecords(sync: string, during: () => Promise<void>): ReturnType<typeof run> {
    const lock = new Client({ connectionString: warehouse.url });
    await lock.connect();
    try {
      await lock.query("select pg_advisory_lock(hashtext($1))", [sync]);
      const running = run(sync);
      const waits = `select from pg_locks where not granted and locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`;
      await vi.waitUntil(async () => (await source.query(waits)).rowCount === 1, {
        timeout: 30_000,
        interval: 20,
      });
      await during();
      await lock.query("select pg_advisory_unlock_all()");
      return await running;
    } finally {
      await lock.end();
    }
  }

  test("a column that is dropped under the snapshot waits for it: the run sends what it saw, the next one fails", async () => {
    await source.query("update late_rows set name = 'new' where id <= 2");
    const other = new Client({ connectionString: warehouse.url });
    await other.connect();
    let dropping: Promise<unknown> = Promise.resolve();
    const { events } = await heldAtRecords("late", async () => {
      dropping = other.query(withoutAge("late"));
    });
    await dropping;
    await other.end();
    expectLifecycle(events, "sync.success");
    expect(heldRows(sentTo("late"))).toEqual(people((n) => person(n, n <= 2 ? { name: "new" } : {})));
    await expectFailure("late", "SOURCE_COLUMN_MISSING", /\bage\b/);
  });

  test("a column that is dropped when the snapshot broke off is missed by name, and nothing was sent", async () => {
    await source.query("update cut_rows set name = 'new' where id <= 2");
    const before = sentTo("cut").length;
    const { events } = await heldAtRecords("cut", async () => {
      gate.cut();
      // The server learns of the cut only when it has something to say.
      await source.query(`select pg_terminate_backend(pid) from pg_locks where not granted and locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`);
      await source.query(withoutAge("cut"));
      gate.open();
    });
    expectLifecycle(events, "sync.failed");
    expect(dataOf(events, "sync.completed")).toMatchObject({ error_code: "SOURCE_COLUMN_MISSING" });
    expect(sentTo("cut")).toHaveLength(before);
  });
});
