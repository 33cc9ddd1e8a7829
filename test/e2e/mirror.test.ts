/** A mirror from end to end: what leaves the source is deleted at the receiver, after everything else, and behind a fuse. */
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
/** Status by key, for requests that carry a row that the receiver refuses for now. */
const refused = new Map<string, number>();
/** What the receiver took, in the order in which it came. */
const taken: Body[] = [];

interface Body {
  operation: "changed" | "deleted";
  data: { unique_id: string; plan?: string }[];
}
const bodies = (from = 0) =>
  receiver.requests.slice(from).map(({ body }) => JSON.parse(body.toString()) as Body);

/** What a receiver holds that does as it is told. */
function held(): Map<string, string | undefined> {
  const rows = new Map<string, string | undefined>();
  for (const { operation, data } of taken) {
    for (const row of data) {
      if (operation === "changed") rows.set(row.unique_id, row.plan);
      else rows.delete(row.unique_id);
    }
  }
  return rows;
}

async function inSource(): Promise<Map<string, string>> {
  const { rows } = await source.query<{ id: string; plan: string }>("select id, plan from people");
  return new Map(rows.map(({ id, plan }) => [id, plan]));
}

const sorted = (rows: Map<string, string | undefined>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
const completed = (events: AnyEvent[]) => events.find(({ type }) => type === "sync.completed")?.data;
const run = (more: object = {}) => triggerAndWait(egret, { sync: "people_to_ops", ...more });

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`
    create table people (id text, plan text);
    insert into people select 'p' || n, 'trial' from generate_series(1, 60) n`);
  receiver = await startReceiver((request) => {
    const body = JSON.parse(request.body.toString()) as Body;
    const status = body.data.map((row) => refused.get(row.unique_id)).find((each) => each !== undefined);
    if (status === undefined) taken.push(body);
    return status === undefined ? {} : { status, delayMs: 20 };
  });
  await applyYaml(
    egret,
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
destinations:
  ops: { type: webhook, url: "${receiver.url}/rows", batch_size: 5, rate_limit_per_second: 1000 }
syncs:
  people_to_ops:
    { table: public.people, source: warehouse, destination: ops, operation: mirror, key: id,
      max_delete_percent: 40, max_rejected_percent: 2, split_rejected_batches: false }
  people_as_events: { table: public.people, source: warehouse, destination: ops, operation: append, key: id }
`,
  );
});

afterAll(async () => {
  await source.end();
  await receiver.close();
});

describe("a mirror", () => {
  test("sends every row first and deletes nothing", async () => {
    const { events } = await run();
    expect(completed(events)).toMatchObject({
      status: "ok",
      full_sync: true,
      source_record_updates: 60,
      source_record_deletes: 0,
      records_updated: 60,
    });
    expect(bodies().every(({ operation }) => operation === "changed")).toBe(true);
    expect(sorted(held())).toEqual(sorted(await inSource()));
  });

  test("deletes what left the source once every change has arrived, and counts both", async () => {
    const before = receiver.requests.length;
    await source.query(
      "delete from people where id in ('p1', 'p2', 'p3', 'p4', 'p5', 'p6'); update people set plan = 'gold' where id > 'p4'",
    );
    const { events } = await run();
    const end = completed(events) as { source_record_updates: number; records_processed: number };
    expect(end).toMatchObject({ status: "ok", source_record_deletes: 6, records_failed: 0 });
    expect(end.records_processed).toBe(end.source_record_updates + 6);
    const operations = bodies(before).map(({ operation }) => operation);
    expect(operations.lastIndexOf("changed")).toBeLessThan(operations.indexOf("deleted"));
    expect(
      bodies(before)
        .at(-1)
        ?.data.every((row) => Object.keys(row).join() === "unique_id"),
    ).toBe(true);
    expect(sorted(held())).toEqual(sorted(await inSource()));
  });

  test("does not send a delete before the last change has ended, however long that takes", async () => {
    const before = receiver.requests.length;
    await source.query("update people set plan = 'slow' where id = 'p7'; delete from people where id = 'p8'");
    refused.set("p7", 503);
    const waiting = receiver.waitFor(before + 1);
    const running = run();
    await waiting;
    refused.delete("p7");
    await running;
    expect(bodies(before).map(({ operation }) => operation)).toEqual(["changed", "changed", "deleted"]);
    expect(sorted(held())).toEqual(sorted(await inSource()));
  });

  test("stops before it sends anything where too much would be deleted, and goes on when that is allowed", async () => {
    const before = receiver.requests.length;
    await source.query("delete from people where id > 'p3'");
    const blocked = await run();
    expect(completed(blocked.events)).toMatchObject({
      status: "emergency",
      error_code: "DELETE_GUARD",
      records_processed: null,
    });
    expect(blocked.events.at(-1)?.type).toBe("sync.failed");
    expect(receiver.requests).toHaveLength(before);
    const allowed = await run({ allow_deletes: true });
    expect(completed(allowed.events)).toMatchObject({ status: "ok", source_record_updates: 0 });
    expect(sorted(held())).toEqual(sorted(await inSource()));
  });
});

describe("an append", () => {
  test("refuses a full sync before there is a run", async () => {
    const { events } = await triggerAndWait(egret, { sync: "people_as_events", force_full_sync: true });
    expect(events[0]?.data).toMatchObject({
      code: "INVALID_COMMAND",
      message:
        "force_full_sync: sync people_as_events appends, and so sends each row once; trigger it without",
    });
  });
});

describe("a destination that rejects", () => {
  test("stops the run before the rest of its rows is sent, and a run that allows it goes to the end", async () => {
    const before = receiver.requests.length;
    await source.query("insert into people select 'r' || n, 'trial' from generate_series(1, 2000) n");
    for (let n = 1; n <= 2000; n++) refused.set(`r${n}`, 422);
    const stopped = await run();
    expect(completed(stopped.events)).toMatchObject({ status: "emergency", error_code: "REJECT_GUARD" });
    // The receiver answers four requests in 20 ms, and the shares are counted every 100 ms.
    expect(receiver.requests.length - before).toBeLessThan(200);
    const allowed = await run({ allow_rejects: true });
    expect(completed(allowed.events)).toMatchObject({ status: "ok", records_failed: 2000 });
    refused.clear();
    await run();
    expect(sorted(held())).toEqual(sorted(await inSource()));
  });
});
