/** Replays over the API: asked for, watched, cancelled. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";
import { tellWebhook } from "../../support/toldWebhook.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let receiver: Receiver;

beforeAll(async () => {
  egret = await testEgret({ apiRequestsPerSecond: 0 });
  receiver = await startReceiver();
  api = await testApi(egret);
  other = await testApi(egret, { workspaceName: "other" });
});
afterAll(() => receiver.close());

async function makeWebhook(): Promise<number> {
  const events = ["sync.alert.resolved"];
  const { body } = await api.post("/webhooks", { name: "hook", endpoint: `${receiver.url}/hook`, events });
  return body.data.id;
}

/** A webhook with four dead deliveries. */
async function deadWebhook(runId: number): Promise<{ webhookId: number; ids: string[] }> {
  const webhookId = await makeWebhook();
  receiver.behave({ status: 500 });
  const ids = await tellWebhook(egret, { workspaceId: api.workspaceId, webhookId, runId });
  await expect.poll(() => countOf(webhookId, "dead"), { timeout: 30_000 }).toBe(ids.length);
  receiver.behave({});
  return { webhookId, ids };
}

const countOf = async (webhookId: number, state: string): Promise<number> =>
  (await api.get(`/webhooks/${webhookId}/deliveries?state=${state}`)).body.pagination.total_records;

const replayOf = async (id: number) => (await api.get(`/replays/${id}`)).body.data;

describe("POST /webhooks/{id}/replays", () => {
  test("delivers what is dead again, and shows how far it is", async () => {
    const { webhookId, ids } = await deadWebhook(7);
    const asked = await api.post(`/webhooks/${webhookId}/replays`, { since: "2020-01-01T00:00:00Z" });
    expect(asked.status).toBe(201);
    expect(asked.body).toMatchObject({
      status: "created",
      data: {
        id: expect.any(Number),
        webhook_id: webhookId,
        kind: "deliveries",
        filter: { states: ["dead"], since: "2020-01-01T00:00:00.000Z", until: expect.any(String) },
        requested_by: "API token test key",
      },
    });
    const { id } = asked.body.data;
    // A following GET shows it, whether a worker has begun or not.
    expect(await replayOf(id)).toMatchObject({ id, webhook_id: webhookId });
    await expect.poll(async () => (await replayOf(id)).state, { timeout: 30_000 }).toBe("completed");
    expect(await replayOf(id)).toMatchObject({
      total: ids.length,
      replayed: ids.length,
      skipped: {},
      progress: 1,
    });
    await expect.poll(() => countOf(webhookId, "delivered"), { timeout: 30_000 }).toBe(ids.length);
    expect(
      (await api.get(`/webhooks/${webhookId}/replays`)).body.data.map((each: { id: number }) => each.id),
    ).toEqual([id]);
    expect((await api.get("/replays")).body.data[0].id).toBe(id);
  });

  test("takes a filter, and no body at all", async () => {
    const { webhookId } = await deadWebhook(8);
    const narrow = { state: "ended", event: "sync.started", sync_id: "88", sync_run_id: 8, http_status: 500 };
    const counted = await api.post(`/webhooks/${webhookId}/replays`, { ...narrow, validate_only: true });
    expect(counted.status).toBe(200);
    expect(counted.body).toEqual({ status: "success", data: { would_replay: 1 } });
    expect((await api.get(`/webhooks/${webhookId}/replays`)).body.data).toEqual([]);
    const all = await api.post(`/webhooks/${webhookId}/replays`);
    expect(all.status).toBe(201);
    await expect.poll(async () => (await replayOf(all.body.data.id)).replayed, { timeout: 30_000 }).toBe(4);
  });

  test("replays what a webhook missed", async () => {
    const webhookId = await makeWebhook();
    const asked = await api.post(`/webhooks/${webhookId}/replays`, {
      kind: "missed_events",
      since: new Date(Date.now() - 60_000).toISOString(),
    });
    expect(asked.status).toBe(201);
    const { id } = asked.body.data;
    await expect.poll(async () => (await replayOf(id)).state, { timeout: 30_000 }).toBe("completed");
    expect(await replayOf(id)).toMatchObject({ kind: "missed_events", total: 0, progress: 1 });
  });

  test.each([
    ["an unknown state", { state: "lost" }, "state"],
    ["an id that no number can be", { sync_id: "9999999999999999" }, "sync_id"],
    ["a time that is none", { since: "yesterday" }, "since"],
    ["a rate beyond the highest", { rate_per_second: 1_000_000 }, "rate_per_second"],
    ["missed events without a beginning", { kind: "missed_events" }, "since"],
    [
      "missed events by state",
      { kind: "missed_events", since: "2026-01-01T00:00:00Z", state: "dead" },
      "state",
    ],
  ])("refuses %s with its field", async (_what, body, field) => {
    const webhookId = await makeWebhook();
    const answer = await api.post(`/webhooks/${webhookId}/replays`, body);
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
  });

  test("refuses a range of time that is empty", async () => {
    const webhookId = await makeWebhook();
    const range = { since: "2026-02-01T00:00:00Z", until: "2026-01-01T00:00:00Z" };
    expect((await api.post(`/webhooks/${webhookId}/replays`, range)).status).toBe(400);
  });
});

describe("POST /replays/{id}/cancel", () => {
  test("stops a replay, as a following GET shows", async () => {
    const { webhookId } = await deadWebhook(9);
    const { body } = await api.post(`/webhooks/${webhookId}/replays`, { rate_per_second: 1 });
    const cancelled = await api.post(`/replays/${body.data.id}/cancel`);
    expect(cancelled.status).toBe(200);
    expect(cancelled.body).toMatchObject({
      status: "cancelled",
      data: { state: expect.stringMatching(/^cancel(ling|led)$/), cancelled_by: "API token test key" },
    });
    await expect
      .poll(async () => (await replayOf(body.data.id)).state, { timeout: 30_000 })
      .toBe("cancelled");
    expect((await replayOf(body.data.id)).replayed).toBeLessThan(4);
    const again = await api.post(`/replays/${body.data.id}/cancel`);
    expect(again.status).toBe(409);
    expect(again.body.message).toContain("ended already");
  });
});

test("another workspace's replay does not exist", async () => {
  const webhookId = await makeWebhook();
  const { body } = await api.post(`/webhooks/${webhookId}/replays`, {});
  expect((await other.get(`/replays/${body.data.id}`)).status).toBe(404);
  expect((await other.post(`/replays/${body.data.id}/cancel`)).status).toBe(404);
  expect((await other.get("/replays")).body.data).toEqual([]);
});
