/** The audit of the management API: who wrote what, from where. */
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

describe("the audit log", () => {
  test("has each write with who, what, from where and how it ended, and at once", async () => {
    const headers = { "User-Agent": "job/7", "X-Request-Id": "w-1" };
    const made = await api.post("/api_keys", { name: "a secret name" }, headers);
    const { id } = made.body.data;
    await api.delete(`/api_keys/${id}`);
    await api.delete(`/api_keys/${id}`);
    const { status, body } = await api.get("/audit_log?order=asc");
    expect(status).toBe(200);
    expect(body.data).toMatchObject([
      {
        token_name: "test key",
        method: "POST",
        route: "/api_keys",
        object_id: String(id),
        status: 201,
        user_agent: "job/7",
        request_id: "w-1",
        address: expect.stringContaining("127.0.0.1"),
      },
      { method: "DELETE", route: "/api_keys/{id}", object_id: String(id), status: 200 },
      { method: "DELETE", status: 404 },
    ]);
    expect(JSON.stringify(body)).not.toContain("a secret name");
    expect(JSON.stringify(body)).not.toContain("secret-token");
  });

  test("has what was refused too, but neither reads nor requests without a token", async () => {
    const reader = await testApi(egret, { scopes: ["read"] });
    await reader.post("/api_keys", { name: "no" });
    await reader.get("/workspace");
    await api.post("/api_keys", "{", { "Content-Type": "application/json" });
    await api.request("POST", "/api_keys", { name: "no" }, { Authorization: "Bearer x" });
    await api.request("PUT", "/nothing");
    const { body } = await api.get("/audit_log?per_page=2");
    expect(body.data.map(({ status }: { status: number }) => status)).toEqual([400, 403]);
  });

  test("keeps what a client calls itself as it was sent", async () => {
    const name = String.raw`C:\new\temp \N \. "quoted", 'it' {a,b}`;
    await api.post("/api_keys", { name: "odd" }, { "User-Agent": name });
    const { body } = await api.get("/audit_log?per_page=1");
    expect(body.data).toMatchObject([{ user_agent: name, status: 201 }]);
  });

  test("is of one workspace, and only for the scope admin", async () => {
    const other = await testApi(egret, { workspaceName: "elsewhere" });
    expect((await other.get("/audit_log")).body.data).toEqual([]);
    const operator = await testApi(egret, { scopes: ["operate"] });
    expect((await operator.get("/audit_log")).status).toBe(403);
  });

  test("goes on where the page before ended", async () => {
    const { body } = await api.get("/audit_log?order=asc&per_page=2");
    const next = await api.get(`/audit_log?order=asc&per_page=2&cursor=${body.pagination.next_cursor}`);
    expect(next.body.data[0].id).toBeGreaterThan(body.data[1].id);
  });
});

test("entries that are still gathered when the process ends are written", async () => {
  const short = await testEgret({ roles: ["api"] });
  const caller = await testApi(short);
  await caller.post("/api_keys", { name: "last" });
  const { databaseUrl } = short;
  await short.close();
  const { openDatabase } = await import("../../../src/projections/database.ts");
  const database = openDatabase(databaseUrl);
  const rows = await database.db.selectFrom("egret.api_audit").select("route").execute();
  await database.close();
  expect(rows).toEqual([{ route: "/api_keys" }]);
});
