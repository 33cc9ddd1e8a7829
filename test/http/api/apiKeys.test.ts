/** Keys of a workspace over the management API. */
import { beforeAll, describe, expect, test } from "vitest";
import { askApi, type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

describe("a key", () => {
  test("is shown once, then only what it may do", async () => {
    const { status, body } = await api.post("/api_keys", { name: "Airflow", scopes: ["operate"] });
    expect(status).toBe(201);
    const { api_key, ...shown } = body.data;
    expect(shown).toMatchObject({
      name: "Airflow",
      scopes: ["read", "operate"],
      created_by: "API token test key",
      last_used_at: null,
      expires_at: null,
      revoked_at: null,
    });
    const read = await api.get(`/api_keys/${shown.id}`);
    expect(read.body).toEqual({ status: "success", data: shown });
    const list = await api.get("/api_keys");
    expect(list.body.data).toContainEqual(shown);
    expect(JSON.stringify(list.body)).not.toContain(api_key);
    expect((await askApi(egret.url, api_key, { path: "/workspace" })).status).toBe(200);
    expect((await askApi(egret.url, api_key, { path: "/api_keys" })).status).toBe(403);
  });

  test("may do everything unless scopes are given, and may have an end", async () => {
    const expires_at = "2199-01-31T00:00:00+01:00";
    const { body } = await api.post("/api_keys", { name: "CI", expires_at });
    expect(body.data).toMatchObject({
      scopes: ["read", "operate", "admin"],
      expires_at: "2199-01-30T23:00:00.000Z",
    });
  });

  test("that cannot be one is refused by field", async () => {
    for (const [body, field] of [
      [{}, "name"],
      [{ name: " " }, "name"],
      [{ name: "a", scopes: [] }, "scopes"],
      [{ name: "a", scopes: ["root"] }, "scopes[0]"],
      [{ name: "a", scopes: "admin" }, "scopes"],
      [{ name: "a", expires_at: "tomorrow" }, "expires_at"],
      [{ name: "a", expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
      [{ name: "a", expires_at: "9999-01-01T00:00:00Z" }, "expires_at"],
    ] as const) {
      const { status, body: answer } = await api.post("/api_keys", body);
      expect({ body, status }).toEqual({ body, status: 400 });
      expect(answer.errors[0].field).toBe(field);
    }
  });

  test("is out of force as soon as it is revoked here, and is still listed", async () => {
    const { id, api_key } = (await api.post("/api_keys", { name: "leaked" })).body.data;
    expect((await askApi(egret.url, api_key, { path: "/workspace" })).status).toBe(200);
    const { status, body } = await api.delete(`/api_keys/${id}`);
    expect({ status, body }).toEqual({ status: 200, body: { status: "deleted" } });
    expect((await askApi(egret.url, api_key, { path: "/workspace" })).status).toBe(401);
    expect((await api.get(`/api_keys/${id}`)).body.data.revoked_at).toEqual(expect.any(String));
    expect((await api.delete(`/api_keys/${id}`)).status).toBe(404);
  });

  test("of another workspace, or a personal one, does not exist", async () => {
    const other = await testApi(egret, { workspaceName: "elsewhere" });
    const { id } = (await api.post("/api_keys", { name: "mine" })).body.data;
    expect((await other.get(`/api_keys/${id}`)).body).toEqual({
      status: 404,
      message: "Not found",
      code: 404,
    });
    expect((await other.delete(`/api_keys/${id}`)).status).toBe(404);
    expect((await other.get("/api_keys")).body.pagination.total_records).toBe(1);
    const { rows } = await egret.services.database.pool.query<{ id: number }>(
      "select id from egret.api_tokens where kind = 'personal'",
    );
    for (const row of rows) expect((await api.delete(`/api_keys/${row.id}`)).status).toBe(404);
    expect((await api.get(`/api_keys/${id}`)).body.data.revoked_at).toBeNull();
  });
});
