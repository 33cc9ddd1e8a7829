/** Awkward values, rows and tables, the whole way from the source to the receiver: each arrives, or is set aside, as behaviour.md 2 and 5 say. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";
import { expectLifecycle, expectSameRepeats, heldRows } from "../support/receiverModel.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;

const CASES = ["scripts", "awkward", "huge", "empty", "invalid", "resets"];
/** Requests that are taken and then answered by a broken connection, each once. */
const cutOff = new Set<string>();

/** Keys that are easily taken for one another, or for something else. */
const KEYS = [
  "",
  " ",
  "a",
  "A",
  "a ",
  "Straße",
  "STRASSE",
  "Ελληνικά",
  "кириллица",
  "עברית",
  "العربية",
  "हिन्दी",
  "ไทย",
  "中文",
  "日本語 かな カナ",
  "한국어",
  "አማርኛ",
  "\u{10400}\u{10428}",
  "e\u0301",
  "\u00e9",
  "👩‍👩‍👧‍👦",
  "🏳️‍🌈",
  "\u202eright to left",
  "\u200b",
  "quotes \" and \\ and ' and ,{}",
  "line\nbreak\ttab\u0001",
  "null",
  "0",
  "00",
  "k".repeat(900),
];

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table scripts (id text, name text)");
  await source.query("insert into scripts select k, 'of ' || k from unnest($1::text[]) k", [KEYS]);
  await source.query(`
    create table awkward as select 1 as id,
      'NaN'::float8 as f_nan, 'Infinity'::float8 as f_inf, '-Infinity'::float4 as f_minus, 0.1::float8 as f,
      'NaN'::numeric as n_nan, 'Infinity'::numeric as n_inf, 9007199254740991::bigint as i_exact,
      9007199254740993::bigint as i_large, -9007199254740993::numeric as n_large, 12.50::numeric(10,2) as n_scale,
      123456789012345678901234567890.123456789::numeric as n_long,
      date '0044-03-15 BC' as d_bc, 'infinity'::date as d_inf, date '12026-01-01' as d_far,
      timestamp '0044-03-15 10:00 BC' as t_bc, '-infinity'::timestamp as t_inf, 'infinity'::timestamptz as z_inf,
      timestamptz '0044-03-15 10:00+00 BC' as z_bc,
      '{"a": 1, "b": 2, "a": 3}'::jsonb as j_twice, '{"a": 1, "a": 3}'::json as json_twice;
    create table huge as select n as id, repeat('x', case when n = 2 then 2 << 20 else 10 end) as name
      from generate_series(1, 3) n;
    create table empty (id int, name text);
    create table invalid (id int, name text);
    insert into invalid values (null, 'x'), (null, 'y'), (1, 'x'), (1, 'y'), (2, 'x'), (2, 'x');
    create table resets as select n as id, 'Person ' || n as name from generate_series(1, 8) n`);
  receiver = await startReceiver(({ path, headers }) => {
    const key = String(headers["idempotency-key"]);
    if (path !== "/resets" || cutOff.has(key)) return {};
    cutOff.add(key);
    return { reset: true };
  });
  await applyYaml(
    egret,
    `
workspace: demo
sources: { db: { type: postgres, url: "${warehouse.url}" } }
destinations:
${CASES.map((name) => `  ${name}: { type: webhook, url: "${receiver.url}/${name}", batch_size: 4, rate_limit_per_second: 5000 }`).join("\n")}
syncs:
${CASES.map((name) => `  ${name}: { source: db, table: public.${name}, destination: ${name}, key: id, operation: mirror }`).join("\n")}
`,
  );
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});

const sentTo = (sync: string): ReceivedRequest[] =>
  receiver.requests.filter(({ path }) => path === `/${sync}`);
const dataOf = (events: readonly AnyEvent[], type: AnyEvent["type"]) =>
  events.find((event) => event.type === type)?.data;

/** Runs the sync to its good end; returns what it counted. */
async function counted(sync: string): Promise<unknown> {
  const { events } = await triggerAndWait(egret, { sync });
  expectLifecycle(events, "sync.success");
  return dataOf(events, "sync.completed");
}

const NOTHING = { source_record_updates: 0, source_record_deletes: 0, records_processed: 0 };

describe("values", () => {
  test("keys of every script stay apart and come back to be deleted, each as it is", async () => {
    expect(await counted("scripts")).toMatchObject({
      records_updated: KEYS.length,
      source_record_invalids: 0,
    });
    expect(heldRows(sentTo("scripts"))).toEqual(
      new Map(KEYS.map((key) => [key, { unique_id: key, name: `of ${key}` }])),
    );
    expect(await counted("scripts")).toMatchObject(NOTHING);
    await source.query("delete from scripts where length(id) <> 2");
    await counted("scripts");
    // Postgres counts characters, not code units.
    const left = KEYS.filter((key) => Array.from(key).length === 2);
    expect([...heldRows(sentTo("scripts")).keys()].sort()).toEqual(left.sort());
  });

  test("numbers, dates and documents arrive exact, and are not sent twice", async () => {
    await counted("awkward");
    expect(heldRows(sentTo("awkward")).get("1")).toEqual({
      unique_id: 1,
      f_nan: "NaN",
      f_inf: "Infinity",
      f_minus: "-Infinity",
      f: 0.1,
      n_nan: "NaN",
      n_inf: "Infinity",
      i_exact: 9007199254740991,
      i_large: "9007199254740993",
      n_large: "-9007199254740993",
      n_scale: "12.50",
      n_long: "123456789012345678901234567890.123456789",
      d_bc: "0044-03-15 BC",
      d_inf: "infinity",
      d_far: "12026-01-01",
      t_bc: "0044-03-15 10:00:00 BC",
      t_inf: "-infinity",
      z_inf: "infinity",
      z_bc: "0044-03-15 10:00:00 BC UTC",
      j_twice: { a: 3, b: 2 },
      json_twice: { a: 3 },
    });
    expect(await counted("awkward")).toMatchObject(NOTHING);
  });
});

describe("rows and tables", () => {
  test("a row of 2 MB is set aside and the others arrive; cut short, it follows", async () => {
    expect(await counted("huge")).toMatchObject({
      source_record_count: 3,
      source_record_invalids: 1,
      records_updated: 2,
      records_failed: 0,
    });
    expect([...heldRows(sentTo("huge")).keys()]).toEqual(["1", "3"]);
    expect(await counted("huge")).toMatchObject({ ...NOTHING, source_record_invalids: 1 });
    await source.query("update huge set name = 'short' where id = 2");
    expect(await counted("huge")).toMatchObject({ source_record_invalids: 0, records_updated: 1 });
  });

  test("a row that was sent and grew to 2 MB keeps what the receiver has of it", async () => {
    await source.query("update huge set name = repeat('y', 2 << 20) where id = 3");
    expect(await counted("huge")).toMatchObject({ ...NOTHING, source_record_invalids: 1 });
    expect(heldRows(sentTo("huge")).get("3")).toEqual({ unique_id: 3, name: "x".repeat(10) });
  });

  test("an empty table sends nothing, fills, and empties again: everything that was sent is deleted", async () => {
    expect(await counted("empty")).toMatchObject({ ...NOTHING, source_record_count: 0, full_sync: true });
    await source.query("insert into empty values (1, 'a'), (2, 'b')");
    expect(await counted("empty")).toMatchObject({ records_updated: 2 });
    await source.query("delete from empty");
    expect(await counted("empty")).toMatchObject({ source_record_deletes: 2, records_updated: 2 });
    expect(heldRows(sentTo("empty")).size).toBe(0);
    expect(await counted("empty")).toMatchObject(NOTHING);
  });

  test("a table of only invalid rows ends well and sends nothing, run after run, until one is mended", async () => {
    const none = { ...NOTHING, source_record_count: 6, source_record_invalids: 6 };
    expect(await counted("invalid")).toMatchObject(none);
    expect(await counted("invalid")).toMatchObject(none);
    expect(sentTo("invalid")).toHaveLength(0);
    await source.query("update invalid set id = 3 where name = 'y' and id = 1");
    expect(await counted("invalid")).toMatchObject({ source_record_invalids: 4, records_updated: 2 });
  });

  test("a destination that takes a batch and breaks off gets the same bytes again, under the same key", async () => {
    expect(await counted("resets")).toMatchObject({ records_updated: 8, records_failed: 0 });
    expect(expectSameRepeats(sentTo("resets"))).toBe(2);
    expect(sentTo("resets")).toHaveLength(4);
    expect(await counted("resets")).toMatchObject(NOTHING);
  });
});
