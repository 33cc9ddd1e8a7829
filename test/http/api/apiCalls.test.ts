import { beforeAll, describe, expect, test, vi } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { triggerAndWait } from "../../support/egret.ts";
import { openSyncScene } from "./syncScene.ts";

const SECRET = "Bearer CALLS-4711";
const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, receiver } = scene;
let stranger: TestApi;
let syncId = 0;
let runs: number[] = [];

beforeAll(async () => {
  stranger = await testApi(egret, { workspaceName: "other" });
  const made = await api.post("/destinations", {
    service_connection: {
      type: "webhook",
      name: "Secret hook",
      credentials: { url: `${receiver.url}/secret`, auth_token: SECRET, batch_size: 100 },
    },
  });
  syncId = await scene.make({
    destination_attributes: { connection_id: made.body.data.id, object: "webhook" },
  });
  runs = [];
  for (const status of [200, 422]) {
    receiver.behave(({ body }) =>
      body.toString().includes('"data"') ? { status, body: `echo ${SECRET}` } : {},
    );
    await scene.warehouse("update people set name = name || 'x'");
    runs.push((await triggerAndWait(egret, { sync: await nameOf(syncId) })).runId);
  }
  await vi.waitUntil(
    async () => {
      const kept = await calls("");
      return runs.every((run) => kept.some((call) => call.sync_run_id === run));
    },
    { timeout: 30_000 },
  );
});

async function nameOf(id: number): Promise<string> {
  const row = egret.services.database.db.selectFrom("egret.syncs").select("name").where("id", "=", id);
  return (await row.executeTakeFirstOrThrow()).name;
}

interface Call {
  sync_run_id: number;
  http_status: number;
  started_at: string;
}
const calls = async (query: string): Promise<Call[]> =>
  (await api.get(`/syncs/${syncId}/api_calls?${query}`)).body.data;

describe("GET /syncs/{id}/api_calls", () => {
  test("shows requests and answers, newest first, and no secret", async () => {
    const { status, body } = await api.get(`/syncs/${syncId}/api_calls`);
    expect([status, body.status]).toEqual([200, "success"]);
    expect(body.data.at(-1)).toMatchObject({
      sync_run_id: runs[0],
      batch: "1",
      attempt: 1,
      method: "POST",
      url: `${receiver.url}/secret`,
      http_status: 200,
      error: null,
      request_headers: { authorization: "***" },
      request_body: expect.stringContaining('"unique_id"'),
      response_body: "echo ***",
      started_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    });
    const times = body.data.map(({ started_at: at }: Call) => at);
    expect(times).toEqual(times.toSorted().toReversed());
    expect(JSON.stringify(body)).not.toContain("4711");
  });

  test("narrows by run, by status and by number", async () => {
    const statuses = async (query: string) => [
      ...new Set((await calls(query)).map((call) => call.http_status)),
    ];
    expect(await statuses(`sync_run_id=${runs[0]}`)).toEqual([200]);
    expect(await statuses("status=succeeded")).toEqual([200]);
    expect(await statuses("status=failed")).toEqual([422]);
    expect(await statuses("status=4xx")).toEqual([422]);
    expect(await statuses("status=422")).toEqual([422]);
    expect(await statuses("status=5xx")).toEqual([]);
    expect(await calls("limit=1")).toHaveLength(1);
    expect((await calls("limit=1000")).length).toBeLessThanOrEqual(100);
    expect((await api.get(`/syncs/${syncId}/api_calls?status=bad`)).body.errors).toEqual([
      { field: "status", message: expect.stringContaining("4xx") },
    ]);
  });

  test("knows no sync of another workspace", async () => {
    for (const answer of [
      await stranger.get(`/syncs/${syncId}/api_calls`),
      await api.get("/syncs/999999/api_calls"),
    ])
      expect(answer).toMatchObject({ status: 404, body: { status: 404, message: "Not found" } });
  });
});
