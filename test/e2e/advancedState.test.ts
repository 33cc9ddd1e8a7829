/** State in the source, from end to end: switched on and off by egret.yaml, cut off in the middle, and shown. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;

interface Body {
  operation: "changed" | "deleted";
  data: { unique_id: string }[];
}
/** Keys that the receiver was sent since a request, in order. */
const sentSince = (from: number) =>
  receiver.requests
    .slice(from)
    .flatMap(({ body }) => (JSON.parse(body.toString()) as Body).data.map((row) => row.unique_id))
    .toSorted((a, b) => (a < b ? -1 : 1));
const completed = (events: AnyEvent[]) => events.find(({ type }) => type === "sync.completed")?.data;

/** What a run of the sync ends with, and the keys that it sent. */
async function run(sync = "people_to_ops"): Promise<{ end: unknown; sent: string[] }> {
  const from = receiver.requests.length;
  const { events } = await triggerAndWait(egret, { sync });
  return { end: completed(events), sent: sentSince(from) };
}

const apply = (engine: string, schema = "egret_state") =>
  applyYaml(
    egret,
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}", sync_engine: ${engine}${engine === "advanced" ? `, state_schema: ${schema}` : ""} }
destinations:
  ops: { type: webhook, url: "${receiver.url}/rows", batch_size: 5, rate_limit_per_second: 1000 }
syncs:
  people_to_ops: { table: public.people, source: warehouse, destination: ops, operation: mirror, key: id }
  people_as_events: { table: public.people, source: warehouse, destination: ops, operation: append, key: id }
`,
  );

async function remembered(): Promise<number | null> {
  const { rows: found } = await source.query<{ name: string | null }>(
    `select min(format('%I.%I', schemaname, tablename)) as name from pg_tables where schemaname = 'egret_state' and tablename like 'rows_%'`,
  );
  const name = found[0]?.name ?? null;
  if (name === null) return null;
  const { rows } = await source.query<{ rows: number }>(`select count(*)::int as rows from ${name}`);
  return rows[0]?.rows ?? null;
}

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`
    create table people (id text, plan text);
    insert into people select 'p' || n, 'trial' from generate_series(1, 40) n`);
  receiver = await startReceiver(() => ({}));
});

afterAll(async () => {
  await source.end();
  await receiver.close();
});

describe("a source", () => {
  test("keeps the state itself once it says sync_engine: advanced, and nothing is sent again", async () => {
    await apply("basic");
    expect((await run()).sent).toHaveLength(40);
    expect((await run("people_as_events")).sent).toHaveLength(40);
    await apply("advanced");
    expect(await run()).toMatchObject({ end: { status: "ok", full_sync: false }, sent: [] });
    expect(await remembered()).toBe(40);
    expect(await run("people_as_events")).toMatchObject({ end: { status: "ok" }, sent: [] });
  });

  test("sends what differs, deletes included, and remembers it before the run completes", async () => {
    await source.query("update people set plan = 'pro' where id = 'p3'; delete from people where id = 'p4'");
    expect(await run()).toMatchObject({
      end: { status: "ok", source_record_count: 39, source_record_updates: 1, source_record_deletes: 1 },
      sent: ["p3", "p4"],
    });
    const { rows } = await egret.services.database.pool.query<{ waiting: number }>(
      "select count(*) as waiting from egret.state_journal",
    );
    expect(rows[0]?.waiting).toBe(0);
    expect((await run()).sent).toEqual([]);
  });

  test("takes the state back to Egret's Postgres when it says basic, and nothing is sent again", async () => {
    await apply("basic");
    expect(await run()).toMatchObject({ end: { status: "ok", full_sync: false }, sent: [] });
    expect(await run("people_as_events")).toMatchObject({ end: { status: "ok" }, sent: [] });
    expect(await remembered()).toBeNull();
    await source.query("insert into people values ('p41', 'trial')");
    expect((await run()).sent).toEqual(["p41"]);
    expect((await run("people_as_events")).sent).toEqual(["p41"]);
  });

  test("that refuses to remember fails the run, and the next one still knows what was accepted", async () => {
    await apply("advanced");
    await run();
    await source.query(`
      create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create trigger refuse before update on egret_state.syncs for each statement execute function public.refuse();
      update people set plan = 'gold' where id = 'p5'`);
    const failed = await run();
    expect(failed.sent).toEqual(["p5"]);
    expect(failed.end).toMatchObject({
      status: "emergency",
      error_code: "SOURCE_QUERY_FAILED",
      records_updated: 1,
    });
    await source.query("drop trigger refuse on egret_state.syncs");
    expect(await run()).toMatchObject({ end: { status: "ok" }, sent: [] });
  });
});
