/** Webhooks over the API: made with a secret that is shown once, changed, switched, pinged, deleted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readWebhook } from "../../../src/configuration/store.ts";
import { disableWebhook } from "../../../src/configuration/webhookSwitch.ts";
import { LIFECYCLE_EVENTS } from "../../../src/domain/lifecycle.ts";
import { signBody } from "../../../src/security/signature.ts";
import { type ApiAnswer, type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, type TestEgret, testEgret } from "../../support/egret.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let receiver: Receiver;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"], apiRequestsPerSecond: 0 });
  receiver = await startReceiver();
  api = await testApi(egret);
  other = await testApi(egret, { workspaceName: "other" });
});
beforeEach(() => receiver.behave({}));
afterAll(() => receiver.close());

const NEW = { name: "Pager", endpoint: "https://ops.example.org/hooks/sync" };

async function make(body: object = NEW, as: TestApi = api): Promise<{ id: number; secret: string }> {
  const answer = await as.post("/webhooks", body);
  expect(answer.status).toBe(201);
  return answer.body.data;
}

const stored = (id: number) => readWebhook(egret.services.database.db, egret.services.box, id);
const fieldsOf = ({ body }: ApiAnswer): string[] =>
  body.errors.map((error: { field: string }) => error.field);

describe("POST /webhooks", () => {
  test("answers 201 with the webhook and its secret, which nothing shows again", async () => {
    const body = { ...NEW, description: "failed syncs", events: ["sync.failed", "sync.alert.raised"] };
    const made = await api.post("/webhooks", body);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ status: "created", data: { id: expect.any(Number), ...body } });
    const { id, secret } = made.body.data;
    expect((await stored(id))?.secret).toBe(secret);
    const answers = [
      await api.get(`/webhooks/${id}`),
      await api.get("/webhooks"),
      await api.patch(`/webhooks/${id}`, { description: "other" }),
      await api.post(`/webhooks/${id}/ping`),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(JSON.stringify(answer.body)).not.toContain(secret);
      expect(JSON.stringify(answer.body)).not.toContain('"secret"');
    }
  });

  test("takes all events where none are named", async () => {
    for (const events of [{}, { events: null }]) {
      const { id } = await make({ ...NEW, ...events });
      expect((await api.get(`/webhooks/${id}`)).body.data.events).toEqual([...LIFECYCLE_EVENTS]);
    }
  });

  test("GET shows it as it was made, with its ETag", async () => {
    const { id } = await make({
      ...NEW,
      enabled: false,
      honor_retry_after: true,
      auto_disable_after_exhausted: 5,
    });
    const { body, headers } = await api.get(`/webhooks/${id}`);
    expect(headers.get("ETag")).toBe('"v1"');
    expect(body).toEqual({
      status: "success",
      data: {
        id,
        name: "Pager",
        description: null,
        endpoint: NEW.endpoint,
        events: [...LIFECYCLE_EVENTS],
        enabled: false,
        disabled_reason: null,
        disabled_at: null,
        paused: false,
        honor_retry_after: true,
        auto_disable_after_exhausted: 5,
        disable_on_gone: false,
        has_tls: false,
        previous_secret_until: null,
        health: expect.objectContaining({ state: "healthy" }),
        last_success_at: null,
        last_failure_at: null,
        created_at: expect.stringMatching(/\.\d{3}Z$/),
        updated_at: expect.stringMatching(/\.\d{3}Z$/),
      },
    });
  });

  test.each([
    ["no name", { endpoint: NEW.endpoint }, "name"],
    ["an empty name", { ...NEW, name: "  " }, "name"],
    ["a name of two lines", { ...NEW, name: "a\nb" }, "name"],
    ["no endpoint", { name: "Pager" }, "endpoint"],
    ["an endpoint that is none", { ...NEW, endpoint: "ops" }, "endpoint"],
    ["an endpoint with a password", { ...NEW, endpoint: "https://u:p@a.example/" }, "endpoint"],
    ["an empty list of events", { ...NEW, events: [] }, "events"],
    [
      "a number of attempts that is none",
      { ...NEW, auto_disable_after_exhausted: 0 },
      "auto_disable_after_exhausted",
    ],
    ["TLS settings that are no PEM", { ...NEW, tls: { ca: "x" } }, "tls.ca"],
  ])("refuses %s with 400 and its field, and makes nothing", async (_what, body, field) => {
    const before = (await api.get("/webhooks?per_page=1")).body.pagination.total_records;
    const answer = await api.post("/webhooks", body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ status: "error", message: expect.stringContaining(field) });
    expect(fieldsOf(answer)).toContain(field);
    expect((await api.get("/webhooks?per_page=1")).body.pagination.total_records).toBe(before);
  });

  test("names the event that was probably meant", async () => {
    const answer = await api.post("/webhooks", { ...NEW, events: ["sync.failed", "sync.sucess"] });
    expect(answer.status).toBe(400);
    expect(fieldsOf(answer)).toEqual(["events[1]"]);
    expect(answer.body.message).toContain('Did you mean "sync.success"?');
  });
});

describe("GET /webhooks", () => {
  test("holds every webhook where no page is asked for, and pages where one is", async () => {
    const own = await testApi(egret, { workspaceName: "many" });
    const ids: number[] = [];
    for (let n = 1; n <= 30; n += 1) ids.push((await make({ ...NEW, name: `Number ${n}` }, own)).id);
    const all = (await own.get("/webhooks")).body;
    expect(all.data).toHaveLength(30);
    expect(all.pagination).toMatchObject({ total_records: 30, page: 1, next_page: null, last_page: 1 });
    expect(all.next).toBeNull();
    const page = (await own.get("/webhooks?page=2")).body;
    expect(page.data).toHaveLength(5);
    expect(page.pagination).toMatchObject({ per_page: 25, prev_page: 1, next_page: null, last_page: 2 });
    const first = (await own.get("/webhooks?per_page=20&order=asc")).body;
    const rest = (await own.get(`/webhooks?per_page=20&order=asc&cursor=${first.pagination.next_cursor}`))
      .body;
    const found = [...first.data, ...rest.data].map(({ id }: { id: number }) => id);
    expect(found).toEqual(ids);
  });
});

describe("PATCH /webhooks/{id}", () => {
  test("changes what is given and leaves the rest, the secret too", async () => {
    const { id, secret } = await make({ ...NEW, description: "before", events: ["sync.failed"] });
    const changed = await api.patch(`/webhooks/${id}`, {
      name: "New name",
      endpoint: "https://b.example/in",
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({
      status: "updated",
      data: {
        id,
        name: "New name",
        description: "before",
        endpoint: "https://b.example/in",
        events: ["sync.failed"],
      },
    });
    expect(changed.headers.get("ETag")).toBe('"v2"');
    expect((await api.get(`/webhooks/${id}`)).body.data).toEqual(changed.body.data);
    expect((await stored(id))?.secret).toBe(secret);
  });

  test("takes null for none", async () => {
    const { id } = await make({
      ...NEW,
      description: "x",
      auto_disable_after_exhausted: 3,
      events: ["sync.failed"],
    });
    const changes = { description: null, auto_disable_after_exhausted: null, events: null };
    const { body } = await api.patch(`/webhooks/${id}`, changes);
    expect(body.data).toMatchObject({ ...changes, events: [...LIFECYCLE_EVENTS] });
  });

  test("pauses and resumes, disables and enables", async () => {
    const { id } = await make();
    for (const changes of [{ paused: true }, { paused: false }, { enabled: false }, { enabled: true }]) {
      const { status, body } = await api.patch(`/webhooks/${id}`, changes);
      expect(status).toBe(200);
      expect(body.data).toMatchObject(changes);
      expect(await stored(id)).toMatchObject(changes);
    }
  });

  test("disables as an operator does: with reason and time, in the same change as the rest, and once", async () => {
    const { id } = await make();
    const changes = { enabled: false, description: "off for now" };
    const { body, headers } = await api.patch(`/webhooks/${id}`, changes);
    expect(body.data).toMatchObject({
      ...changes,
      disabled_reason: "operator",
      disabled_at: expect.stringMatching(/Z$/),
    });
    expect(headers.get("ETag")).toBe('"v2"');
    const again = await api.patch(`/webhooks/${id}`, { enabled: false });
    expect(again.body.data).toMatchObject({ disabled_at: body.data.disabled_at });
    expect(again.headers.get("ETag")).toBe('"v2"');
    const stale = await api.patch(`/webhooks/${id}`, { enabled: true }, { "If-Match": '"v1"' });
    expect(stale.status).toBe(412);
    expect((await api.get(`/webhooks/${id}`)).body.data).toMatchObject({ enabled: false });
    const enabled = await api.patch(`/webhooks/${id}`, { enabled: true });
    expect(enabled.body.data).toMatchObject({ enabled: true, disabled_reason: null, disabled_at: null });
    expect(enabled.headers.get("ETag")).toBe('"v3"');
  });

  test("outlasts the file that declares it, as what an operator does", async () => {
    const yaml = (enabled: boolean) =>
      `{ workspace: filed, webhooks: { filed: { endpoint: "https://filed.example.org", enabled: ${enabled} } } }`;
    const applied = await applyYaml(egret, yaml(true));
    const filed = await testApi(egret, { workspaceName: "filed" });
    const id = await applied.id("webhook", "filed");
    const switched = async () => {
      const { enabled, disabled_reason: reason } = (await filed.get(`/webhooks/${id}`)).body.data;
      return { enabled, reason };
    };
    await filed.patch(`/webhooks/${id}`, { enabled: false });
    await applyYaml(egret, yaml(true));
    expect(await switched()).toEqual({ enabled: false, reason: "operator" });
    await applyYaml(egret, yaml(false));
    expect(await switched()).toEqual({ enabled: false, reason: null });
    await filed.patch(`/webhooks/${id}`, { enabled: true });
    expect(await switched()).toEqual({ enabled: true, reason: null });
  });

  test("leaves the reason of one that was disabled by itself, and enables one that was made disabled", async () => {
    const { id } = await make();
    await disableWebhook(egret.services.database.db, { id, reason: "gone", actor: "test" });
    const { body } = await api.patch(`/webhooks/${id}`, { enabled: false });
    expect(body.data).toMatchObject({ enabled: false, disabled_reason: "gone" });
    const made = await make({ ...NEW, enabled: false });
    expect((await api.patch(`/webhooks/${made.id}`, { enabled: true })).body.data).toMatchObject({
      enabled: true,
      disabled_reason: null,
    });
  });

  test("enables one that was disabled by itself, and leaves it disabled where it is not asked to", async () => {
    const { id } = await make();
    const { db } = egret.services.database;
    await disableWebhook(db, { id, reason: "gone", actor: "test" });
    const renamed = await api.patch(`/webhooks/${id}`, { name: "Renamed" });
    expect(renamed.body.data).toMatchObject({ name: "Renamed", enabled: false, disabled_reason: "gone" });
    const enabled = await api.patch(`/webhooks/${id}`, { enabled: true });
    expect(enabled.body.data).toMatchObject({ enabled: true, disabled_reason: null, disabled_at: null });
  });

  test("is refused as a whole when one thing is wrong", async () => {
    const { id } = await make();
    const answer = await api.patch(`/webhooks/${id}`, {
      name: "Changed",
      paused: true,
      endpoint: "ftp://a.example",
    });
    expect(answer.status).toBe(400);
    expect(fieldsOf(answer)).toEqual(["endpoint"]);
    expect((await api.get(`/webhooks/${id}`)).body.data).toMatchObject({ name: "Pager", paused: false });
  });

  test("of a version that is gone is refused with 412", async () => {
    const { id } = await make();
    const rename = (name: string, tag: string) => api.patch(`/webhooks/${id}`, { name }, { "If-Match": tag });
    expect((await rename("First", '"v1"')).status).toBe(200);
    expect((await rename("Second", '"v1"')).status).toBe(412);
    expect((await rename("Third", '"v2"')).status).toBe(200);
  });
});

describe("POST /webhooks/{id}/rotate_secret", () => {
  test("gives a new secret once, with which requests are signed from then on", async () => {
    const { id, secret } = await make({ ...NEW, endpoint: `${receiver.url}/hook` });
    const rotated = await api.post(`/webhooks/${id}/rotate_secret`);
    expect(rotated.status).toBe(200);
    expect(rotated.body.data.secret).not.toBe(secret);
    expect(rotated.body.data.previous_secret_until).toBeNull();
    await api.post(`/webhooks/${id}/ping`);
    const request = receiver.requests.at(-1);
    expect(request?.headers["x-signature"]).toBe(
      signBody(rotated.body.data.secret, request?.body ?? Buffer.from("")),
    );
  });

  test("lets the old secret sign too for as long as is asked", async () => {
    const { id, secret } = await make();
    const { body } = await api.post(`/webhooks/${id}/rotate_secret`, { overlap_seconds: 3600 });
    expect(Date.parse(body.data.previous_secret_until)).toBeGreaterThan(Date.now());
    expect((await stored(id))?.previousSecret).toBe(secret);
    expect((await api.post(`/webhooks/${id}/rotate_secret`, { overlap_seconds: -1 })).status).toBe(400);
  });
});

describe("POST /webhooks/{id}/ping", () => {
  test("sends one signed request and shows what was answered", async () => {
    const { id, secret } = await make({ ...NEW, endpoint: `${receiver.url}/ping` });
    receiver.behave({ status: 202, body: "thank you", headers: { "X-From": "receiver" } });
    const { status, body } = await api.post(`/webhooks/${id}/ping`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "success",
      data: {
        accepted: true,
        http_status: 202,
        error: null,
        response_body: "thank you",
        response_headers: { "x-from": "receiver" },
        request_headers: { "x-signature": "***" },
        timing: { total_ms: expect.any(Number) },
      },
    });
    const request = receiver.requests.at(-1);
    expect(request?.body.toString()).toBe(`{"event":"ping","workspace_id":${api.workspaceId}}`);
    expect(request?.headers["x-signature"]).toBe(signBody(secret, request?.body ?? Buffer.from("")));
    expect(request?.headers["x-event-id"]).toBe(body.data.event_id);
  });

  test("answers 200 also when the endpoint refuses or is not there", async () => {
    const { id } = await make({ ...NEW, endpoint: `${receiver.url}/ping` });
    receiver.behave({ status: 500 });
    expect((await api.post(`/webhooks/${id}/ping`)).body.data).toMatchObject({
      accepted: false,
      http_status: 500,
    });
    receiver.behave({ reset: true });
    const { status, body } = await api.post(`/webhooks/${id}/ping`);
    expect(status).toBe(200);
    expect(body.data).toMatchObject({ accepted: false, http_status: null, error: expect.any(String) });
  });
});

test("DELETE deletes, and then there is none", async () => {
  const { id } = await make();
  const gone = await api.delete(`/webhooks/${id}`);
  expect(gone.status).toBe(200);
  expect(gone.body).toEqual({ status: "deleted" });
  expect((await api.get(`/webhooks/${id}`)).status).toBe(404);
  expect((await api.delete(`/webhooks/${id}`)).status).toBe(404);
});

test("another workspace's webhook does not exist", async () => {
  const { id } = await make();
  const answers = await Promise.all([
    other.get(`/webhooks/${id}`),
    other.patch(`/webhooks/${id}`, { name: "Mine" }),
    other.patch(`/webhooks/${id}`, { enabled: true }),
    other.delete(`/webhooks/${id}`),
    other.post(`/webhooks/${id}/rotate_secret`),
    other.post(`/webhooks/${id}/ping`),
    other.get(`/webhooks/${id}/deliveries`),
    other.get(`/webhooks/${id}/replays`),
    other.post(`/webhooks/${id}/replays`, {}),
  ]);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404));
  for (const { body } of answers) expect(body).toMatchObject({ status: 404, message: "Not found" });
  expect((await api.get(`/webhooks/${id}`)).body.data.name).toBe("Pager");
});

test("a token that may only read changes nothing", async () => {
  const { id } = await make();
  const reader = await testApi(egret, { scopes: ["read"] });
  expect((await reader.get(`/webhooks/${id}`)).status).toBe(200);
  const answers = await Promise.all([
    reader.post("/webhooks", NEW),
    reader.patch(`/webhooks/${id}`, { name: "Mine" }),
    reader.delete(`/webhooks/${id}`),
    reader.post(`/webhooks/${id}/rotate_secret`),
    reader.post(`/webhooks/${id}/ping`),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
});
