import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, testEgret, triggerAndWait } from "../../support/egret.ts";
import { testDatabase } from "../../support/namespace.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";

const warehouse = await testDatabase();
const egret = await testEgret({ apiRequestsPerSecond: 0 });
let receiver: Receiver;
let api: TestApi;
let stranger: TestApi;
const sync: Record<string, number> = {};

beforeAll(async () => {
  receiver = await startReceiver();
  const { url } = warehouse;
  const { pool } = egret.services.database;
  const source = `{ type: postgres, url: "${url}" }`;
  const own = new Client({ connectionString: url });
  await own.connect();
  await own.query("create table people (id int primary key, name text)");
  const applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: ${source} }
destinations: { hook: { type: webhook, url: "${receiver.url}" } }
syncs:
  first: { table: public.people, source: warehouse, destination: hook, key: id }
  second: { table: public.people, source: warehouse, destination: hook, key: id }
`,
  );
  api = await testApi(egret, { workspaceName: "demo" });
  stranger = await testApi(egret, { workspaceName: "other" });
  // Both fail, the first one recovers.
  await own.query("alter table people rename to hidden");
  for (const name of ["first", "second"]) {
    sync[name] = await applied.id("sync", name);
    await triggerAndWait(egret, { sync: name });
  }
  await own.query("alter table hidden rename to people");
  const isKnown = (state: string, wanted: number) =>
    vi.waitUntil(
      async () => {
        const { rows } = await pool.query(
          "select count(*)::int as n from egret_read.alerts where state = $1",
          [state],
        );
        return rows[0].n === wanted;
      },
      { timeout: 30_000 },
    );
  await isKnown("open", 2);
  await triggerAndWait(egret, { sync: "first" });
  await isKnown("resolved", 1);
  await own.end();
});

afterAll(() => receiver.close());

describe("GET /alerts", () => {
  test("lists what is and what was wrong, newest first, in one workspace", async () => {
    const { status, body } = await api.get("/alerts");
    expect(status).toBe(200);
    expect(new Set(body.data.map(({ sync_id: id }: { sync_id: number }) => id))).toEqual(
      new Set([sync["first"], sync["second"]]),
    );
    expect(body.data.find(({ sync_id: id }: { sync_id: number }) => id === sync["first"])).toEqual({
      id: expect.any(Number),
      alert_configuration_id: expect.any(Number),
      type: "FailureAlertConfiguration",
      status: "resolved",
      sync_id: sync["first"],
      sync_name: "first",
      message: "Sync Failed",
      details: expect.stringContaining("Sync has failed with error"),
      followup_url: expect.stringMatching(/^http/),
      times_raised: 1,
      raised_at: expect.stringMatching(/\.\d{3}Z$/),
      raised_sync_run_id: expect.any(Number),
      last_raised_at: expect.stringMatching(/\.\d{3}Z$/),
      last_raised_sync_run_id: expect.any(Number),
      resolved_at: expect.stringMatching(/\.\d{3}Z$/),
      resolved_sync_run_id: expect.any(Number),
      resolution: "recovered",
      resolved_message: "Sync Recovered",
      resolved_details: "Sync has recovered",
    });
    expect((await stranger.get("/alerts")).body).toMatchObject({
      data: [],
      pagination: { total_records: 0 },
    });
  });

  test("narrows by state and sync, and pages", async () => {
    const idsOf = async (query: string): Promise<number[]> =>
      (await api.get(`/alerts?${query}`)).body.data.map(({ sync_id: id }: { sync_id: number }) => id);
    expect(await idsOf("status=open")).toEqual([sync["second"]]);
    expect(await idsOf("status=resolved")).toEqual([sync["first"]]);
    expect(await idsOf(`sync_id=${sync["second"]}`)).toEqual([sync["second"]]);
    expect(await idsOf(`sync_id=${sync["second"]}&status=resolved`)).toEqual([]);
    const page = (await api.get("/alerts?per_page=1&order=asc")).body;
    expect(page.pagination).toMatchObject({ total_records: 2, last_page: 2, next_page: 2 });
    const behind = await idsOf(`per_page=1&order=asc&cursor=${page.pagination.next_cursor}`);
    expect(new Set([page.data[0].sync_id, ...behind])).toEqual(new Set([sync["first"], sync["second"]]));
    expect((await api.get("/alerts?status=closed")).status).toBe(400);
    expect((await stranger.get(`/alerts?sync_id=${sync["second"]}`)).body.data).toEqual([]);
  });

  test("shows one, and none of another workspace", async () => {
    const [{ id }] = (await api.get("/alerts?status=open")).body.data;
    expect((await api.get(`/alerts/${id}`)).body).toMatchObject({
      status: "success",
      data: { id, status: "open", resolved_at: null },
    });
    for (const answer of [await stranger.get(`/alerts/${id}`), await api.get("/alerts/999999")])
      expect(answer).toMatchObject({ status: 404, body: { status: 404 } });
  });
});

describe("GET /alerts/{id}/events", () => {
  test("tells what happened to one, oldest first, and nothing of another workspace's", async () => {
    const [recovered] = (await api.get("/alerts?status=resolved")).body.data;
    const path = `/alerts/${recovered.id}/events`;
    const { status, body } = await api.get(path);
    expect(status).toBe(200);
    expect(body.data).toEqual([
      expect.objectContaining({
        type: "alert.raised",
        subject: `alert/${recovered.alert_configuration_id}`,
        time: recovered.raised_at,
        data: expect.objectContaining({
          alert_instance_id: recovered.id,
          sync_run_id: recovered.raised_sync_run_id,
        }) as object,
      }),
      expect.objectContaining({ type: "alert.resolved", time: recovered.resolved_at }),
    ]);
    const page = (await api.get(`${path}?per_page=1`)).body;
    expect(page.data).toEqual(body.data.slice(0, 1));
    expect(page.pagination).toMatchObject({ total_records: 2, next_page: 2 });
    const behind = (await api.get(`${path}?per_page=1&cursor=${page.pagination.next_cursor}`)).body;
    expect(behind.data).toEqual(body.data.slice(1));
    for (const answer of [await stranger.get(path), await api.get("/alerts/999999/events")])
      expect(answer).toMatchObject({ status: 404, body: { status: 404 } });
  });
});
