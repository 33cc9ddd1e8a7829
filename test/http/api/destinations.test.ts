/** Making and changing destinations over the API, as Terraform and others do, and what becomes of their secrets. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TestApi } from "../../support/api.ts";
import type { Receiver } from "../../support/receiver.ts";
import { bodyOf, type DestinationScene, openDestinationScene } from "./destinationScene.ts";

let api: TestApi;
let receiver: Receiver;
let url: DestinationScene["url"];
let make: DestinationScene["make"];
let stored: DestinationScene["stored"];

beforeAll(async () => {
  ({ api, receiver, url, make, stored } = await openDestinationScene());
});
beforeEach(() => receiver.behave({}));
afterAll(() => receiver.close());

describe("POST /destinations", () => {
  test("makes one that GET shows at once, in the form that clients decode", async () => {
    const id = await make({ url: url() }, { name: "Ops hook, 2nd floor" });
    const { status, body, headers } = await api.get(`/destinations/${id}`);
    expect(status).toBe(200);
    expect(headers.get("ETag")).toBe('"v1"');
    expect(body).toEqual({
      status: "success",
      data: {
        id,
        name: "Ops hook, 2nd floor",
        type: "webhook",
        connection_details: expect.objectContaining({ url: url(), method: "POST", batch_size: 1 }),
        paused: false,
        last_test_succeeded: true,
        last_tested_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        health: expect.objectContaining({ state: "healthy", consecutive_failures: 0 }),
        created_at: expect.stringMatching(/\.\d{3}Z$/),
        updated_at: expect.stringMatching(/\.\d{3}Z$/),
      },
    });
    expect(body.data).not.toHaveProperty("workspace_id");
  });

  test("tests the connection on saving, and makes the destination all the same when that fails", async () => {
    receiver.behave({ status: 500 });
    const id = await make({ url: url() });
    const { body } = await api.get(`/destinations/${id}`);
    expect(body.data.last_test_succeeded).toBe(false);
  });

  test("reads values whose types a client changed on their way", async () => {
    const id = await make({
      url: url(),
      batch_size: "100",
      use_bulk_upload: "true",
      wrap_data: "false",
      auth_token: 12345678,
      signing_secret: "",
      row_results: "",
      tls: "",
      headers: { "X-Tenant": 7, "X-None": null },
      rate_limit_per_second: "",
      something_new: "ignored",
    });
    expect(await stored(id)).toMatchObject({
      settings: { batch_size: 100, use_bulk_upload: true, wrap_data: false, rate_limit_per_second: 30 },
      secrets: { auth_token: "12345678", headers: { "X-Tenant": "7" } },
    });
    expect((await stored(id))?.secrets).not.toHaveProperty("signing_secret");
  });

  test("takes the names that other products have for a field, and maps as JSON texts", async () => {
    const id = await make({ webhook_url: url(), http_method: "PUT", custom_headers: '{"X-Key": "abc"}' });
    expect(await stored(id)).toMatchObject({
      settings: { url: url(), method: "PUT" },
      secrets: { headers: { "X-Key": "abc" } },
    });
  });

  test("makes one of type http_request with access by OAuth", async () => {
    const oauth = { token_url: url("/token"), client_id: "egret", client_secret: "top-secret-1" };
    const id = await make(
      { url: receiver.url, path: "/contacts", requests_per_second: null, oauth: JSON.stringify(oauth) },
      { type: "http_request" },
    );
    expect(await stored(id)).toMatchObject({
      type: "http_request",
      settings: { requests_per_second: null, oauth: { client_id: "egret" } },
      secrets: { oauth_client_secret: "top-secret-1" },
    });
  });

  test("gives two of one name different short names and keeps what people wrote", async () => {
    const [one, two] = [
      await make({ url: url() }, { name: "Zürich!" }),
      await make({ url: url() }, { name: "Zürich!" }),
    ];
    expect((await stored(one))?.name).not.toBe((await stored(two))?.name);
    expect((await api.get(`/destinations/${two}`)).body.data.name).toBe("Zürich!");
  });

  test.each([
    ["no url", bodyOf({}), "service_connection.credentials.url"],
    ["a url that is none", bodyOf({ webhook_url: "nowhere" }), "service_connection.credentials.webhook_url"],
    [
      "a count that is none",
      bodyOf({ url: "https://a.example/", batch_size: "many" }),
      "service_connection.credentials.batch_size",
    ],
    [
      "a header that cannot be sent",
      bodyOf({ url: "https://a.example/", headers: { "X Y": "1" } }),
      "service_connection.credentials.headers.X Y",
    ],
    [
      "digits that were lost",
      bodyOf({ url: "https://a.example/", auth_token: 2 ** 60 }),
      "service_connection.credentials.auth_token",
    ],
    ["an unknown kind", bodyOf({ url: "https://a.example/" }, { type: "webhok" }), "service_connection.type"],
    [
      "no name",
      { service_connection: { type: "webhook", credentials: { url: "https://a.example/" } } },
      "service_connection.name",
    ],
    ["an empty name", bodyOf({ url: "https://a.example/" }, { name: " " }), "service_connection.name"],
    ["no service_connection", { type: "webhook" }, "service_connection"],
  ])("refuses %s, naming the field as the client wrote it, and makes nothing", async (_what, body, field) => {
    const before = (await api.get("/destinations")).body.pagination.total_records;
    const answer = await api.post("/destinations", body);
    expect(answer.status).toBe(400);
    expect(answer.body.status).toBe("error");
    expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
    expect(answer.body.message).toContain(field);
    expect((await api.get("/destinations")).body.pagination.total_records).toBe(before);
  });

  test("suggests the kind that was meant", async () => {
    const { body } = await api.post("/destinations", bodyOf({ url: url() }, { type: "webhok" }));
    expect(body.message).toContain('Did you mean "webhook"?');
  });
});

describe("secrets of a destination", () => {
  const SECRETS = ["Bearer top-secret", "sign-secret-1", "header-secret-1", "query-secret-1"];
  const credentials = () => ({
    url: `${url()}?key=query-secret-1`,
    auth_token: "Bearer top-secret",
    signing_secret: "sign-secret-1",
    headers: { "X-Api-Key": "header-secret-1" },
  });

  test("never come back, not in lists, answers of a change or faults", async () => {
    const id = await make(credentials());
    const answers = [
      await api.get(`/destinations/${id}`),
      await api.get("/destinations?per_page=100"),
      await api.patch(`/destinations/${id}`, { service_connection: { name: "Renamed" } }),
      await api.patch(`/destinations/${id}`, { service_connection: { credentials: { batch_size: -1 } } }),
      await api.post("/destinations", bodyOf({ ...credentials(), batch_size: "x" })),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 400, 400]);
    for (const { body } of answers) {
      for (const secret of SECRETS) expect(JSON.stringify(body)).not.toContain(secret);
    }
    expect(answers[0]?.body.data.connection_details).toMatchObject({
      auth_token: "***",
      headers: { "X-Api-Key": "***" },
      url: `${url()}?key=***`,
    });
  });

  test("stay when a change leaves them out, or sends back what was shown", async () => {
    const id = await make(credentials());
    const before = await stored(id);
    const { connection_details: shown } = (await api.get(`/destinations/${id}`)).body.data;
    const changed = await api.patch(`/destinations/${id}`, {
      service_connection: { credentials: { ...shown, batch_size: "50" } },
    });
    expect(changed.status).toBe(200);
    expect(await stored(id)).toEqual({ ...before, settings: { ...before?.settings, batch_size: 50 } });
  });

  test("are replaced when they are given, and go when they are sent empty", async () => {
    const id = await make(credentials());
    await api.patch(`/destinations/${id}`, {
      service_connection: { credentials: { auth_token: "Bearer next", signing_secret: "", headers: null } },
    });
    expect((await stored(id))?.secrets).toEqual({ auth_token: "Bearer next" });
  });

  test("go to no other server than the one that they were stored for", async () => {
    const id = await make({ url: url(), auth_token: "Bearer top-1", headers: { "X-Key": "top-2" } });
    const elsewhere = "https://elsewhere.example/rows";
    const change = (credentials: object) =>
      api.patch(`/destinations/${id}`, { service_connection: { credentials } });
    const refused = await change({ url: elsewhere });
    expect(refused.status).toBe(400);
    expect(refused.body.errors.map(({ field }: { field: string }) => field).toSorted()).toEqual([
      "service_connection.credentials.auth_token",
      "service_connection.credentials.headers",
    ]);
    expect((await change({ url: elsewhere, auth_token: "***", headers: { "X-Key": "***" } })).status).toBe(
      400,
    );
    expect((await stored(id))?.settings.url).toBe(url());
    expect((await change({ url: elsewhere, auth_token: "Bearer new", headers: null })).status).toBe(200);
    expect((await stored(id))?.secrets).toEqual({ auth_token: "Bearer new" });
  });

  test("of OAuth stay when the rest of it changes", async () => {
    const oauth = { token_url: url("/token"), client_id: "egret", client_secret: "top-secret-1" };
    const id = await make({ url: receiver.url, oauth }, { type: "http_request" });
    const next = { token_url: url("/token"), client_id: "egret-2" };
    await api.patch(`/destinations/${id}`, { service_connection: { credentials: { oauth: next } } });
    expect(await stored(id)).toMatchObject({
      settings: { oauth: { client_id: "egret-2" } },
      secrets: { oauth_client_secret: "top-secret-1" },
    });
  });
});

describe("PATCH /destinations/{id}", () => {
  test("answers with the whole destination, and with its ETag", async () => {
    const id = await make({ url: url() });
    const changed = await api.patch(`/destinations/${id}`, {
      service_connection: { name: "New name", credentials: { url: url("/next") } },
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({
      status: "updated",
      data: { id, name: "New name", connection_details: { url: url("/next") } },
    });
    expect(changed.headers.get("ETag")).toBe('"v2"');
    expect((await api.get(`/destinations/${id}`)).body.data).toEqual(changed.body.data);
  });

  test("pauses and resumes", async () => {
    const id = await make({ url: url() });
    expect((await api.patch(`/destinations/${id}`, { paused: true })).body.data.paused).toBe(true);
    expect((await stored(id))?.paused).toBe(true);
    expect((await api.patch(`/destinations/${id}`, { paused: false })).body.data.paused).toBe(false);
  });

  test("is refused as a whole when one thing is wrong", async () => {
    const id = await make({ url: url() });
    const refused = await api.patch(`/destinations/${id}`, {
      paused: true,
      service_connection: { name: "Changed", credentials: { timeout_seconds: 999 } },
    });
    expect(refused.status).toBe(400);
    const { data } = (await api.get(`/destinations/${id}`)).body;
    expect(data).toMatchObject({ name: "Ops hook", paused: false });
  });

  test("keeps the kind", async () => {
    const id = await make({ url: url() });
    const { status, body } = await api.patch(`/destinations/${id}`, {
      service_connection: { type: "http_request", credentials: {} },
    });
    expect(status).toBe(400);
    expect(body.errors[0].field).toBe("service_connection.type");
  });

  test("of a version that is gone is refused with 412", async () => {
    const id = await make({ url: url() });
    const change = (name: string) =>
      api.patch(`/destinations/${id}`, { service_connection: { name } }, { "If-Match": '"v1"' });
    expect((await change("First")).status).toBe(200);
    expect((await change("Second")).status).toBe(412);
    expect((await api.get(`/destinations/${id}`)).body.data.name).toBe("First");
  });
});
