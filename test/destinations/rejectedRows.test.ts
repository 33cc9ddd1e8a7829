import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { auditRun, auditVerdict } from "../../src/cli/auditRun.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;
let applied: AppliedYaml;
let configuration: string;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`create table people (id int primary key, name text, mail text)`);
  receiver = await startReceiver();
  configuration = `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 20, rate_limit_per_second: null }
  rows: { type: webhook, url: "${receiver.url}/rows", batch_size: 20, rate_limit_per_second: null, row_results: {} }
  api:
    type: http_request
    url: ${receiver.url}/api
    batch_size: 8
    requests_per_second: null
    payload:
      json: '{"people": [{% for person in records %} {"key": "{{ person.unique_id }}", "name": "{{ person.name }}"}, {% endfor %}]}'
  each:
    type: http_request
    url: ${receiver.url}/each
    path: /people/{{ record['unique_id'] }}/{{ record['name'] }}
    method: PUT
    payload: form
    requests_per_second: null
syncs:
  to_hook: { table: public.people, source: warehouse, destination: hook, key: id }
  whole: { table: public.people, source: warehouse, destination: hook, key: id, split_rejected_batches: false }
  to_rows: { table: public.people, source: warehouse, destination: rows, key: id }
  to_api: { table: public.people, source: warehouse, destination: api, key: id, split_rejected_batches: true }
  mirrored: { table: public.people, source: warehouse, destination: hook, key: id, operation: mirror }
  to_each: { table: public.people, source: warehouse, destination: each, key: id }
`;
  applied = await applyYaml(egret, configuration);
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});
beforeEach(async () => {
  receiver.behave({});
  await source.query("truncate people");
});

let fills = 0;
/** Rows that no run has sent as they are. */
const fill = (rows: number) => {
  fills += 1;
  return source.query(
    `insert into people select n, 'n' || n, 'm${fills}' from generate_series(1, ${rows}) n`,
  );
};
const idsOf = ({ body }: ReceivedRequest): string[] => {
  const text = body.toString();
  if (text.startsWith('{"people"')) {
    return (JSON.parse(text) as { people: { key: string }[] }).people.map(({ key }) => key);
  }
  return (JSON.parse(text) as { data: { unique_id: number }[] }).data.map(({ unique_id: id }) => String(id));
};
const since = (from: number) => receiver.requests.slice(from);

async function run(sync: string) {
  const from = receiver.requests.length;
  const { runId, events } = await triggerAndWait(egret, { sync });
  const completed = events.find(({ type }) => type === "sync.completed")?.data;
  return { runId, completed, requests: since(from) };
}

async function audit(runId: number, sync: string) {
  const { connection, log } = egret.services;
  const syncId = await applied.id("sync", sync);
  return auditRun({ connection, log }, { kind: "run", workspaceId: 1, syncId, runId });
}

describe("a batch that is refused for one bad row", () => {
  test("is halved until the bad row stands alone, each half with bytes and a key of its own", async () => {
    await fill(20);
    receiver.behave((request) => (idsOf(request).includes("7") ? { status: 422, body: "no such mail" } : {}));
    const { runId, completed, requests } = await run("to_hook");
    expect(completed).toMatchObject({
      status: "ok",
      records_processed: 20,
      records_updated: 19,
      records_failed: 1,
    });
    // 20 -> 10 + 10 -> 5 + 5 -> 3 + 2 -> 2 + 1: row 7 is second of the second five.
    expect(requests.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(20)) + 1);
    const keys = requests.map(({ headers }) => String(headers["idempotency-key"]));
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toEqual(
      expect.arrayContaining([`${runId}-1`, `${runId}-1.1`, `${runId}-1.2`, `${runId}-1.1.2`]),
    );
    const accepted = requests.filter((request) => !idsOf(request).includes("7")).flatMap(idsOf);
    expect(accepted.map(Number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 1).filter((id) => id !== 7),
    );
    const { rows } = await egret.services.database.pool.query(
      "select records, status_message from egret.batches where run_id = $1 and outcome = 'rejected'",
      [runId],
    );
    expect(rows).toEqual([{ records: 1, status_message: "HTTP 422: no such mail" }]);
    const audited = await audit(runId, "to_hook");
    expect(audited.problems).toEqual([]);
    expect(auditVerdict(audited)).toMatch(/^complete: /);
  });

  test("leaves the bad row to the next run, which sends it alone", async () => {
    await fill(20);
    receiver.behave((request) => (idsOf(request).includes("7") ? { status: 400 } : {}));
    await run("to_hook");
    receiver.behave({});
    const { requests } = await run("to_hook");
    expect(requests.flatMap(idsOf)).toEqual(["7"]);
  });

  test("is left whole where the sync says so", async () => {
    await fill(20);
    receiver.behave({ status: 422 });
    const { runId, completed, requests } = await run("whole");
    expect(requests).toHaveLength(1);
    expect(completed).toMatchObject({ records_failed: 20 });
    expect((await audit(runId, "whole")).problems).toEqual([]);
  });

  test.each([404, 405, 410])(
    "is left whole when it was answered HTTP %i, which speaks of the endpoint",
    async (status) => {
      await fill(20);
      receiver.behave({ status });
      const { requests, completed } = await run("to_hook");
      expect(requests).toHaveLength(1);
      expect(completed).toMatchObject({ status: "ok", records_failed: 20 });
    },
  );

  test("is halved among deletes, too, and the delete that was refused is tried again by the next run", async () => {
    await fill(6);
    await run("mirrored");
    await source.query("delete from people where id > 1");
    receiver.behave((request) => (idsOf(request).includes("4") ? { status: 422 } : {}));
    const { completed, requests } = await run("mirrored");
    expect(completed).toMatchObject({ source_record_deletes: 5, records_updated: 4, records_failed: 1 });
    for (const { body } of requests)
      expect(JSON.parse(body.toString())).toMatchObject({ operation: "deleted" });
    receiver.behave({});
    const next = await run("mirrored");
    expect(next.requests.map(idsOf)).toEqual([["4"]]);
  });

  test("is made anew for each half where a template made it", async () => {
    await fill(8);
    receiver.behave((request) => (idsOf(request).includes("3") ? { status: 422 } : {}));
    const { completed, requests } = await run("to_api");
    expect(completed).toMatchObject({ records_updated: 7, records_failed: 1 });
    expect(requests[0]?.path).toBe("/api");
    expect(JSON.parse(requests[0]?.body.toString() ?? "")).toEqual({
      people: Array.from({ length: 8 }, (_, n) => ({ key: String(n + 1), name: `n${n + 1}` })),
    });
    const sizes = requests.map((request) => idsOf(request).length);
    expect(sizes.toSorted((a, b) => b - a)).toEqual([8, 4, 4, 2, 2, 1, 1]);
  });
});

describe("an answer that speaks of each row", () => {
  test("takes those rows that it calls successful, and leaves the others to the next run", async () => {
    await fill(4);
    const taken = (ids: string[]) =>
      JSON.stringify({
        record_results: [
          ...ids.map((identifier) => ({ identifier, success: true })),
          { identifier: 2, success: false, error_message: "row full" },
        ],
      });
    receiver.behave({ status: 207, body: taken(["1", "4"]) });
    const { runId, completed } = await run("to_rows");
    expect(completed).toMatchObject({
      status: "ok",
      records_processed: 4,
      records_updated: 2,
      records_failed: 2,
    });
    expect((await audit(runId, "to_rows")).problems).toEqual([]);
    const { rows } = await egret.services.database.pool.query(
      "select keys, row_errors from egret.batches where run_id = $1",
      [runId],
    );
    expect(rows).toEqual([
      {
        keys: ["1", "2", "3", "4"],
        row_errors: [null, "row full", "the answer does not name this row", null],
      },
    ]);
    receiver.behave({ body: taken(["2", "3"]) });
    const next = await run("to_rows");
    expect(next.requests.flatMap(idsOf)).toEqual(["2", "3"]);
    // Spoken of twice, and once badly.
    expect(next.completed).toMatchObject({ records_updated: 1, records_failed: 1 });
    receiver.behave({ body: "[]" });
    expect((await run("to_rows")).completed).toMatchObject({
      status: "ok",
      records_updated: 0,
      records_failed: 1,
    });
  });

  test("never puts what it says into the log", async () => {
    await fill(2);
    receiver.behave({
      body: JSON.stringify({ record_results: [{ identifier: 1, error_message: "s3cret-value" }] }),
    });
    const { runId } = await run("to_rows");
    const audited = await audit(runId, "to_rows");
    const events = [...audited.events, ...audited.deliveries.flatMap((delivery) => delivery.events)];
    expect(events.length).toBeGreaterThan(5);
    expect(JSON.stringify(events)).not.toContain("s3cret-value");
  });
});

describe("a destination that does not let us in", () => {
  test.each([401, 403])(
    "fails the run after three answers of HTTP %i in a row, in words without the answer",
    async (status) => {
      await fill(200);
      receiver.behave({ status, body: "who are you?" });
      const { completed, requests, runId } = await run("to_hook");
      expect(completed).toMatchObject({
        status: "emergency",
        error_code: "DESTINATION_CONNECTION_FAILED",
        error_message: expect.stringContaining(`HTTP ${status}`),
      });
      expect(JSON.stringify(completed)).not.toContain("who are you");
      // Never cut in two: halves would be refused as well.
      expect(requests.length).toBeLessThanOrEqual(10);
      receiver.behave({});
      expect((await run("to_hook")).completed).toMatchObject({ status: "ok", records_updated: 200 });
      expect((await audit(runId, "to_hook")).problems).toEqual([]);
    },
  );
});

describe("an http_request destination", () => {
  test("gets one request for each row where its path is made from the row, and none for a row that makes none", async () => {
    await source.query(
      `insert into people values (1, 'Ada', null), (2, '../../admin?x=1#y', 'a&b'), (3, '..', null), (4, '', null), (5, 'O''Brien', null)`,
    );
    const { completed, requests, runId } = await run("to_each");
    expect(completed).toMatchObject({ source_record_invalids: 2, records_updated: 3, records_failed: 0 });
    expect(requests.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "PUT /each/people/1/Ada",
      "PUT /each/people/2/..%2F..%2Fadmin%3Fx%3D1%23y",
      "PUT /each/people/5/O%27Brien",
    ]);
    const second = requests.find(({ path }) => path.startsWith("/each/people/2"));
    expect(Object.fromEntries(new URLSearchParams(second?.body.toString()))).toEqual({
      mail: "a&b",
      name: "../../admin?x=1#y",
      unique_id: "2",
    });
    const { rows } = await egret.services.database.pool.query(
      "select identifier, status, message from egret.invalid_rows where run_id = $1 order by identifier",
      [runId],
    );
    expect(rows).toEqual([
      {
        identifier: "3",
        status: "INVALID",
        message: expect.stringMatching(/^The path failed: it holds \. or \.\./),
      },
      { identifier: "4", status: "INVALID", message: "The path failed: a part of it is empty" },
    ]);
  });
});
