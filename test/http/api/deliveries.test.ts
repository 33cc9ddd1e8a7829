/** Deliveries over the API: searched, shown with what was said, begun again. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { countDeliveriesUpTo } from "../../../src/projections/deliverySearch.ts";
import { DeliveryIntake } from "../../../src/runtime/deliveries/deliveryIntake.ts";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";
import { tellWebhook } from "../../support/toldWebhook.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let receiver: Receiver;
let webhookId: number;
/** Of run 7, all delivered. */
let delivered: string[];
/** Of run 8, all dead of their only attempt. */
let dead: string[];

beforeAll(async () => {
  egret = await testEgret({ apiRequestsPerSecond: 0 });
  receiver = await startReceiver({ body: "taken" });
  api = await testApi(egret);
  other = await testApi(egret, { workspaceName: "other" });
  webhookId = await makeWebhook("hook");
  const { workspaceId } = api;
  delivered = await tellWebhook(egret, { workspaceId, webhookId, runId: 7 });
  await settled(delivered);
  receiver.behave({ status: 503, body: "come back later" });
  dead = await tellWebhook(egret, { workspaceId, webhookId, runId: 8 });
  await settled(dead);
});
afterAll(() => receiver.close());

async function makeWebhook(path: string): Promise<number> {
  // Subscribed to nothing that happens by itself here.
  const events = ["sync.alert.resolved"];
  const { body } = await api.post("/webhooks", { name: path, endpoint: `${receiver.url}/${path}`, events });
  return body.data.id;
}

const stateOf = async (id: string) => (await api.get(`/webhook_deliveries/${id}`)).body.data?.state;

async function settled(ids: readonly string[]): Promise<void> {
  const look = async () => {
    for (const id of ids) expect(await stateOf(id)).toMatch(/^(delivered|dead)$/);
  };
  await vi.waitFor(look, { timeout: 30_000 });
}

const listed = async (query = ""): Promise<string[]> =>
  (await api.get(`/webhooks/${webhookId}/deliveries?per_page=100${query}`)).body.data.map(
    ({ id }: { id: string }) => id,
  );

describe("GET /webhooks/{id}/deliveries", () => {
  test("lists deliveries with their attempts, newest first", async () => {
    const { status, body } = await api.get(`/webhooks/${webhookId}/deliveries?sync_run_id=7`);
    expect(status).toBe(200);
    expect(body.status).toBe("success");
    expect(body.data.map(({ id }: { id: string }) => id).toSorted()).toEqual(delivered.toSorted());
    const one = body.data.find(({ event }: { event: string }) => event === "sync.started");
    expect(one).toMatchObject({
      webhook_id: webhookId,
      destination_id: null,
      sync_id: 88,
      sync_run_id: 7,
      state: "delivered",
      attempt_count: 1,
      payload: `{"workspace_id":${api.workspaceId},"sync_id":88,"sync_run_id":7,"event":"sync.started"}`,
      next_attempt_at: null,
      attempts: [{ n: 1, http_status: 200, error: null, duration_ms: expect.any(Number) }],
    });
    const times = body.data.map((each: { created_at: string }) => each.created_at);
    expect(times).toEqual(times.toSorted().reverse());
  });

  test.each([
    ["state", "&state=dead", () => dead],
    ["run", "&sync_run_id=8", () => dead],
    ["status of the last answer", "&http_status=200", () => delivered],
    ["event", "&event=sync.started", () => [delivered[1] ?? "", dead[1] ?? ""]],
    ["sync", "&sync_id=89", () => []],
    ["time", "&until=2020-01-01T00:00:00Z", () => []],
    ["time from a point on", "&since=2020-01-01T00:00:00%2B01:00", () => [...delivered, ...dead]],
    ["several together", "&state=dead&event=sync.started", () => [dead[1] ?? ""]],
  ])("searches by %s", async (_by, query, expected) => {
    expect(new Set(await listed(query))).toEqual(new Set<string>(expected()));
  });

  test("goes by page and by cursor in the same order, each delivery once", async () => {
    for (const order of ["desc", "asc"]) {
      const all = await listed(`&order=${order}`);
      const byPage: string[] = [];
      const byCursor: string[] = [];
      let path: string | null = `/webhooks/${webhookId}/deliveries?per_page=3&order=${order}`;
      while (path !== null) {
        const { body } = await api.get(path);
        byPage.push(...body.data.map(({ id }: { id: string }) => id));
        expect(body.pagination.total_records).toBe(8);
        expect(body.pagination.total_is_exact).toBe(true);
        path = body.next === null ? null : body.next.slice(`${egret.url}/api/v1`.length);
      }
      let cursor: string | null = "";
      while (cursor !== null) {
        const from: string = cursor === "" ? "" : `&cursor=${cursor}`;
        const { body } = await api.get(`/webhooks/${webhookId}/deliveries?per_page=3&order=${order}${from}`);
        byCursor.push(...body.data.map(({ id }: { id: string }) => id));
        cursor = body.pagination.next_cursor;
      }
      expect(byPage).toEqual(all);
      expect(byCursor).toEqual(all);
    }
  });

  test.each([
    "state=lost",
    "event=sync.none",
    "cursor=nonsense",
    "since=yesterday",
    "sync_run_id=x",
    "http_status=99",
    "page=999999999",
  ])("refuses %s with 400 and the field", async (query) => {
    const { status, body } = await api.get(`/webhooks/${webhookId}/deliveries?${query}`);
    expect(status).toBe(400);
    expect(body.errors[0].field).toBe(query.split("=")[0]);
  });
});

test("deliveries are counted only as far as it is quick", async () => {
  const { db } = egret.services.database;
  const ofWebhook = { targetKind: "webhook", targetId: webhookId } as const;
  expect(await countDeliveriesUpTo(db, ofWebhook, 5)).toBe(5);
  expect(await countDeliveriesUpTo(db, ofWebhook, 100)).toBe(8);
});

describe("GET /webhook_deliveries/{did}", () => {
  test("shows each attempt with what was said in it", async () => {
    const [id = ""] = dead;
    const exchanged = async () =>
      (await api.get(`/webhook_deliveries/${id}`)).body.data.attempts[0].exchanges;
    // What was said is kept beside the hot path, a moment later.
    await expect.poll(exchanged, { timeout: 10_000 }).toHaveLength(1);
    const { status, body } = await api.get(`/webhook_deliveries/${id}`);
    expect(status).toBe(200);
    expect(body.data).toMatchObject({ id, state: "dead", death_reason: "exhausted", http_status: 503 });
    expect(body.data.attempts).toEqual([
      {
        n: 1,
        started_at: expect.stringMatching(/\.\d{3}Z$/),
        finished_at: expect.stringMatching(/\.\d{3}Z$/),
        duration_ms: expect.any(Number),
        http_status: 503,
        error: "HTTP 503",
        response_excerpt: "come back later",
        exchanges: [
          {
            started_at: expect.any(String),
            method: "POST",
            url: `${receiver.url}/hook`,
            http_status: 503,
            error: null,
            request_headers: expect.objectContaining({ "x-delivery-id": id, "x-signature": "***" }),
            response_headers: expect.any(Object),
            response_body: "come back later",
            timing: expect.objectContaining({ total_ms: expect.any(Number) }),
          },
        ],
      },
    ]);
  });

  test("answers 404 for an id that is none, and for another workspace's", async () => {
    for (const id of ["7-99-1", "x", "7%00", "a".repeat(300), "7-1-1%27--"]) {
      expect((await api.get(`/webhook_deliveries/${id}`)).status).toBe(id === "7%00" ? 400 : 404);
    }
    expect((await other.get(`/webhook_deliveries/${dead[0]}`)).status).toBe(404);
    expect((await other.post(`/webhook_deliveries/${dead[0]}/redeliver`)).status).toBe(404);
  });
});

describe("POST /webhook_deliveries/{did}/redeliver", () => {
  test("begins an ended delivery again, with the same id, event and bytes, as a following GET shows", async () => {
    const [, id = ""] = dead;
    const before = (await api.get(`/webhook_deliveries/${id}`)).body.data;
    receiver.behave({});
    const sent = receiver.requests.filter(({ headers }) => headers["x-delivery-id"] === id);
    const again = await api.post(`/webhook_deliveries/${id}/redeliver`);
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ status: "success", data: { id, redeliveries: 1 } });
    const shown = (await api.get(`/webhook_deliveries/${id}`)).body.data;
    expect(shown).toMatchObject({ id, redeliveries: 1, event_id: before.event_id, payload: before.payload });
    await expect.poll(() => stateOf(id), { timeout: 20_000 }).toBe("delivered");
    const all = receiver.requests.filter(({ headers }) => headers["x-delivery-id"] === id);
    expect(all).toHaveLength(sent.length + 1);
    expect(all.at(-1)?.body).toEqual(sent.at(-1)?.body);
    expect(all.at(-1)?.headers["x-event-id"]).toBe(sent.at(-1)?.headers["x-event-id"]);
  });

  test("is refused while the delivery is under way", async () => {
    const slow = await makeWebhook("slow");
    receiver.behave((request) => (request.path === "/slow" ? { hang: true } : {}));
    const [id = ""] = await tellWebhook(egret, { workspaceId: api.workspaceId, webhookId: slow, runId: 9 });
    await expect.poll(() => stateOf(id), { timeout: 20_000 }).toBe("pending");
    const { status, body } = await api.post(`/webhook_deliveries/${id}/redeliver`);
    expect(status).toBe(409);
    expect(body.message).toContain("under way");
    receiver.behave({});
  });

  test("is refused while the webhook is disabled, and once it was deleted", async () => {
    const [, , id = ""] = dead;
    await api.patch(`/webhooks/${webhookId}`, { enabled: false });
    const disabled = await api.post(`/webhook_deliveries/${id}/redeliver`);
    expect(disabled.status).toBe(409);
    expect(disabled.body.message).toContain("disabled");
    await api.patch(`/webhooks/${webhookId}`, { enabled: true });

    const gone = await makeWebhook("gone");
    const [lost = ""] = await tellWebhook(egret, {
      workspaceId: api.workspaceId,
      webhookId: gone,
      runId: 10,
    });
    await settled([lost]);
    await api.delete(`/webhooks/${gone}`);
    const refused = await api.post(`/webhook_deliveries/${lost}/redeliver`);
    expect(refused.status).toBe(409);
    expect(refused.body.message).toContain("deleted");
  });
});

describe("deliveries of a destination", () => {
  test("are its batches", async () => {
    const { body: made } = await api.post("/destinations", {
      service_connection: { type: "webhook", name: "Ops", credentials: { url: `${receiver.url}/rows` } },
    });
    const targetId = made.data.id;
    // Of a run that is no more: nothing is sent for it, and it ends at once.
    await new DeliveryIntake(egret.services.log).create({
      workspace_id: api.workspaceId,
      target_kind: "destination",
      target_id: targetId,
      delivery_id: "20-1",
      sync_id: 88,
      sync_run_id: 20,
      fact: "created",
      event: null,
      event_id: null,
      retry_delays_ms: [],
      timeout_ms: 1_000,
      records: 3,
      payload: null,
      payload_sha256: "0".repeat(64),
    });
    const path = `/destinations/${targetId}/deliveries/20-1`;
    await expect.poll(async () => (await api.get(path)).body.data?.state, { timeout: 20_000 }).toBe("dead");
    const { body } = await api.get(`/destinations/${targetId}/deliveries`);
    expect(body.data).toMatchObject([
      { id: "20-1", destination_id: targetId, webhook_id: null, event: null, payload: null, records: 3 },
    ]);
    expect(body.data[0]).toMatchObject({ state: "dead", death_reason: "run_ended", attempts: [] });
    expect((await api.get(`/destinations/${targetId}/deliveries?state=delivered`)).body.data).toEqual([]);
    const one = await api.get(path);
    expect(one.body).toMatchObject({ status: "success", data: { id: "20-1", attempts: [] } });
    expect((await api.get("/webhook_deliveries/20-1")).status).toBe(404);
    expect((await other.get(path)).status).toBe(404);
  });
});
