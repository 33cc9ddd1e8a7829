import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    "create table people (id int primary key, name text); insert into people select n, 'n' from generate_series(1, 40) n",
  );
  receiver = await startReceiver();
  await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  api: { type: http_request, url: "${receiver.url}", requests_per_second: null }
  crm:
    type: http_request
    url: ${receiver.url}/crm
    path: /people/{{ record.unique_id }}
    method: PUT
    payload: { json: "name: {{ record.name | json }}" }
    requests_per_second: null
syncs:
  one_by_one: { table: public.people, source: warehouse, destination: api, key: id }
  mirrored: { table: public.people, source: warehouse, destination: crm, key: id, operation: mirror }
`,
  );
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});

describe("a destination that asks for a wait", () => {
  test("gets no request before it is over, also none of another batch, and then all of them", async () => {
    const asked: number[] = [];
    receiver.behave(({ at }, attempt) => {
      if (attempt !== 6) return {};
      asked.push(at);
      return { status: 429, headers: { "retry-after": "3" } };
    });
    const { events } = await triggerAndWait(egret, { sync: "one_by_one" });
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      status: "ok",
      records_updated: 40,
      records_failed: 0,
    });
    const [at = 0] = asked;
    // Up to three others were on their way when it asked.
    const meanwhile = receiver.requests.filter((request) => request.at > at && request.at < at + 2_950);
    expect(meanwhile.length).toBeLessThanOrEqual(3);
    expect(receiver.requests).toHaveLength(41);
  });

  test("for longer than a quarter of an hour gets the batch back as rejected, and is not waited for", async () => {
    await source.query("update people set name = 'new' where id = 1");
    receiver.behave({ status: 503, headers: { "retry-after": "901" } });
    const { events, runId } = await triggerAndWait(egret, { sync: "one_by_one" });
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      status: "ok",
      records_failed: 1,
    });
    const { rows } = await egret.services.database.pool.query(
      "select status_message from egret.batches where run_id = $1",
      [runId],
    );
    expect(rows).toEqual([{ status_message: "HTTP 503, and asked for a wait of 901 s: more than we wait" }]);
  });
});

describe("a mirror to an API", () => {
  test("puts what is there and deletes what is gone, each at its own address", async () => {
    receiver.behave({});
    await source.query("delete from people where id > 3");
    await triggerAndWait(egret, { sync: "mirrored" });
    await source.query(`delete from people where id = 2; update people set name = 'a "b"' where id = 3`);
    const before = receiver.requests.length;
    const { events } = await triggerAndWait(egret, { sync: "mirrored" });
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      status: "ok",
      source_record_updates: 1,
      source_record_deletes: 1,
      records_updated: 2,
    });
    const sent = receiver.requests
      .slice(before)
      .map(({ method, path, body }) => [method, path, body.toString()]);
    expect(sent).toEqual([
      ["PUT", "/crm/people/3", '{"name":"a \\"b\\""}'],
      ["DELETE", "/crm/people/2", ""],
    ]);
    const again = receiver.requests.length;
    await triggerAndWait(egret, { sync: "mirrored" });
    expect(receiver.requests).toHaveLength(again);
  });
});
