/** Destinations over the API, as Terraform and others send and read them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readDestination } from "../../../src/configuration/store.ts";
import { type TestApi, testApi } from "../../support/api.ts";
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

const url = (path = "/rows") => `${receiver.url}${path}`;
const bodyOf = (credentials: object, { type = "webhook", name = "Ops hook" } = {}) => ({
  type,
  service_connection: { type, name, credentials },
});

async function make(credentials: object, kind: { type?: string; name?: string } = {}): Promise<number> {
  const { status, body } = await api.post("/destinations", bodyOf(credentials, kind));
  expect(body).toEqual({ status: "created", data: { id: expect.any(Number) } });
  expect(status).toBe(201);
  return body.data.id;
}

/** With its secrets, as a sync would use it. */
const stored = (id: number) => readDestination(egret.services.database.db, egret.services.box, id);

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

describe("DELETE /destinations/{id}", () => {
  test("deletes, and then there is none", async () => {
    const id = await make({ url: url() });
    const gone = await api.delete(`/destinations/${id}`);
    expect(gone.status).toBe(200);
    expect(gone.body).toEqual({ status: "deleted" });
    const { status, body } = await api.get(`/destinations/${id}`);
    expect(status).toBe(404);
    expect(body).toMatchObject({ status: 404, message: "Not found" });
  });

  test("refuses one that a sync uses, and names the sync", async () => {
    const { db } = egret.services.database;
    await db.schema.createTable("public.used").addColumn("id", "integer").execute();
    const yaml = `
workspace: used
sources: { here: { type: postgres, url: "${egret.databaseUrl}" } }
destinations: { ops: { type: webhook, url: "${url()}" } }
syncs: { rows: { source: here, table: public.used, destination: ops, key: id } }`;
    const id = await (await applyYaml(egret, yaml)).id("destination", "ops");
    const own = await testApi(egret, { workspaceName: "used" });
    const { status, body } = await own.delete(`/destinations/${id}`);
    expect(status).toBe(409);
    expect(body).toMatchObject({ status: "error", message: expect.stringContaining("rows") });
    expect((await own.get(`/destinations/${id}`)).status).toBe(200);
  });
});

describe("POST /destinations/{id}/test", () => {
  test("says how the destination answered, and keeps the outcome", async () => {
    const id = await make({ url: url(), auth_token: "Bearer x" });
    receiver.behave({ status: 503 });
    const failed = await api.post(`/destinations/${id}/test`);
    expect(failed.status).toBe(200);
    expect(failed.body).toMatchObject({
      status: "success",
      data: { id, success: false, http_status: 503, last_test_succeeded: false, message: expect.any(String) },
    });
    receiver.behave({});
    expect((await api.post(`/destinations/${id}/test`)).body.data.success).toBe(true);
    expect((await api.get(`/destinations/${id}`)).body.data.last_test_succeeded).toBe(true);
    expect(receiver.requests.at(-1)?.headers["authorization"]).toBe("Bearer x");
  });
});

describe("objects of a destination", () => {
  test("are one, of which any field can be sent beside the key", async () => {
    const id = await make({ url: url() });
    const { body } = await api.get(`/destinations/${id}/objects`);
    expect(body.data).toHaveLength(1);
    expect(body.pagination.total_records).toBe(1);
    const [object] = body.data;
    expect(object).toMatchObject({
      full_name: "webhook",
      label: "Webhook",
      supported_operations: ["upsert", "append", "mirror"],
      allow_custom_fields: true,
    });
    expect(object.fields).toEqual([
      expect.objectContaining({
        full_name: "unique_id",
        required_for_mapping: true,
        can_be_upsert_key: true,
        can_be_update_key: false,
        array: false,
        lookup_object: null,
      }),
    ]);
    expect((await api.get(`/destinations/${id}/objects/webhook`)).body.data).toEqual(object);
    expect((await api.get(`/destinations/${id}/objects/contacts`)).status).toBe(404);
  });

  test("of an HTTP Request take every operation", async () => {
    const id = await make({ url: receiver.url }, { type: "http_request" });
    const { body } = await api.get(`/destinations/${id}/objects/http_request`);
    expect(body.data.supported_operations).toEqual([
      "upsert",
      "update",
      "insert",
      "append",
      "mirror",
      "delete",
    ]);
  });

  test("and their fields can be refreshed, with or without a body", async () => {
    const id = await make({ url: url() });
    for (const path of ["refresh_objects", "objects/webhook/refresh_fields"]) {
      for (const body of [undefined, {}]) {
        const begun = await api.post(`/destinations/${id}/${path}`, body);
        expect(begun.status).toBe(200);
        expect(begun.body).toEqual({ refresh_key: expect.any(Number) });
        const status = await api.get(
          `/destinations/${id}/${path}_status?refresh_key=${begun.body.refresh_key}`,
        );
        expect(status.body).toEqual({ status: "completed" });
      }
    }
  });
});

describe("GET /destinations", () => {
  test("goes by page and by cursor in one order, newest first", async () => {
    const own = await testApi(egret, { workspaceName: "paged" });
    const ids: number[] = [];
    for (const n of [1, 2, 3]) {
      const { body } = await own.post("/destinations", bodyOf({ url: url() }, { name: `Number ${n}` }));
      ids.push(body.data.id);
    }
    const first = (await own.get("/destinations?per_page=2")).body;
    expect(first.data.map(({ id }: { id: number }) => id)).toEqual([ids[2], ids[1]]);
    expect(first.pagination).toMatchObject({ total_records: 3, next_page: 2, last_page: 2 });
    const next = await own.get(`/destinations?per_page=2&cursor=${first.pagination.next_cursor}`);
    expect(next.body.data.map(({ id }: { id: number }) => id)).toEqual([ids[0]]);
    const ascending = await own.get("/destinations?order=asc&per_page=250");
    expect(ascending.body.data.map(({ id }: { id: number }) => id)).toEqual(ids);
  });

  test("knows nothing of another workspace", async () => {
    const id = await make({ url: url() });
    const theirs = (await other.get("/destinations")).body.data.map((each: { id: number }) => each.id);
    expect(theirs).not.toContain(id);
    const answers = await Promise.all([
      other.get(`/destinations/${id}`),
      other.patch(`/destinations/${id}`, { service_connection: { name: "Mine" } }),
      other.delete(`/destinations/${id}`),
      other.post(`/destinations/${id}/test`),
      other.get(`/destinations/${id}/objects`),
      other.post(`/destinations/${id}/refresh_objects`),
      other.get(`/destinations/${id}/deliveries`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404, 404, 404]);
  });
});

describe("segments", () => {
  test("are none: lists are empty, and no id exists", async () => {
    const { db, box } = { ...egret.services.database, ...egret.services };
    const row = await db
      .insertInto("egret.sources")
      .values({
        workspace_id: api.workspaceId,
        name: "warehouse",
        type: "postgres",
        settings: "{}",
        secret: box.seal("test", "x"),
      })
      .returning("id")
      .executeTakeFirstOrThrow();
    const { status, body } = await api.get(`/sources/${row.id}/filter_segments`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "success",
      data: [],
      allowances: {},
      pagination: { next_page: null },
    });
    expect((await api.delete(`/sources/${row.id}/filter_segments/3`)).status).toBe(404);
    expect((await other.get(`/sources/${row.id}/filter_segments`)).status).toBe(404);
    await db.deleteFrom("egret.sources").where("id", "=", row.id).execute();
  });
});
