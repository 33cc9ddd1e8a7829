/** Who may ask the management API for what: tokens, their forms, their kinds and scopes. */
import { beforeAll, describe, expect, test, vi } from "vitest";
import { createApiToken } from "../../../src/configuration/apiTokens.ts";
import { askApi, type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

const DENIED = { status: 401, message: "Access denied", code: 401 };
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

function askWith(authorization: string | null, path = "/workspace", method = "GET") {
  const headers = authorization === null ? {} : { Authorization: authorization };
  return askApi(egret.url, null, { path, method, headers });
}

describe("a token", () => {
  test("names the workspace of its key", async () => {
    const { status, body } = await api.get("/workspace");
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: "success", data: { id: api.workspaceId, organization_id: 1 } });
  });

  test("is taken as Bearer and as Basic with the user bearer, whatever the case of the scheme", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      expect((await askWith(`${scheme} ${api.token}`)).status).toBe(200);
    }
    expect((await askWith(basic("bearer", api.token))).status).toBe(200);
    expect((await askWith(basic("bearer", api.token).replace("Basic", "basic"))).status).toBe(200);
  });

  test("begins with secret-token: and so holds a colon itself", () => {
    expect(api.token).toMatch(/^secret-token:[\w-]{43}$/);
  });

  test("that is missing, unknown, cut, of another form or of another user gets the same 401", async () => {
    const wrong = [
      null,
      "",
      "Bearer",
      "Bearer ",
      "Bearer x",
      `Bearer ${api.token}x`,
      `Bearer ${api.token.slice(0, -1)}`,
      `Bearer secret-token:${"A".repeat(43)}`,
      `Bearer ${api.token} ${api.token}`,
      `Token ${api.token}`,
      api.token,
      basic("other", api.token),
      basic("bearer", ""),
      basic("bearer", api.token.replace("secret-token:", "")),
      "Basic %%%",
      `Bearer ${"x".repeat(5000)}`,
    ];
    for (const authorization of wrong) {
      const { status, body, headers } = await askWith(authorization);
      expect({ authorization, status, body }).toEqual({ authorization, status: 401, body: DENIED });
      expect(headers.get("WWW-Authenticate")).toContain("Bearer");
    }
  });

  test("is asked for before anything is said of a path or a body", async () => {
    expect(await askWith(null, "/nothing")).toMatchObject({ status: 401, body: DENIED });
    expect(await askWith(null, "/workspace", "DELETE")).toMatchObject({ status: 401, body: DENIED });
    const sent = { method: "POST", path: "/api_keys", body: "{", headers: { "Content-Type": "text/csv" } };
    expect(await askApi(egret.url, null, sent)).toMatchObject({ status: 401, body: DENIED });
  });

  test("that has expired or was revoked is out of force", async () => {
    const { db } = egret.services.database;
    const wanted = { workspaceId: api.workspaceId, name: "old", scopes: ["read"], actor: "test" } as const;
    const expired = await createApiToken(db, { ...wanted, expiresAt: new Date(Date.now() - 1000) });
    expect((await askWith(`Bearer ${expired.token}`)).status).toBe(401);
    const standing = await createApiToken(db, { ...wanted, expiresAt: new Date(Date.now() + 600_000) });
    expect((await askWith(`Bearer ${standing.token}`)).status).toBe(200);
    await db
      .updateTable("egret.api_tokens")
      .set({ revoked_at: new Date() })
      .where("id", "=", standing.id)
      .execute();
    // Elsewhere than in this process: believed for a few seconds, then no more.
    await vi.waitFor(async () => expect((await askWith(`Bearer ${standing.token}`)).status).toBe(401), {
      timeout: 20_000,
      interval: 200,
    });
  });

  test("stands hashed, with when it was last used", async () => {
    const { rows } = await egret.services.database.pool.query<{ row: string }>(
      "select row_to_json(token)::text as row from egret.api_tokens token",
    );
    expect(rows.length).toBeGreaterThan(1);
    for (const { row } of rows) expect(row).not.toContain("secret-token:");
    await vi.waitFor(
      async () => {
        const { rows: used } = await egret.services.database.pool.query(
          "select id from egret.api_tokens where name = 'test key' and last_used_at > now() - interval '1 hour'",
        );
        expect(used).toHaveLength(1);
      },
      { timeout: 20_000, interval: 100 },
    );
  });
});

describe("kinds and scopes", () => {
  test("a workspace key is not for /workspaces, a personal token for nothing else", async () => {
    const key = await api.get("/workspaces");
    expect(key.status).toBe(403);
    expect(key.body.message).toContain("personal token");
    const person = await askApi(egret.url, api.personalToken, { path: "/workspace" });
    expect(person.status).toBe(403);
    expect(person.body).toMatchObject({ status: "error", code: 403 });
    expect((await askApi(egret.url, api.personalToken, { path: "/workspaces" })).status).toBe(200);
  });

  test("a scope includes those before it and no other, and the refusal names the one that is missing", async () => {
    const reader = await testApi(egret, { scopes: ["read"] });
    expect((await reader.get("/workspace")).status).toBe(200);
    const refused = await reader.post("/api_keys", { name: "x" });
    expect(refused.status).toBe(403);
    expect(refused.body.message).toBe("This needs the scope admin; this token has read.");
    expect((await api.get("/api_keys")).status).toBe(200);
  });

  test("a wrong right is told before the body is looked at, and changes nothing", async () => {
    const reader = await testApi(egret, { scopes: ["operate"] });
    const { status } = await reader.post("/api_keys", "{nonsense", { "Content-Type": "application/json" });
    expect(status).toBe(403);
  });
});

describe("every answer", () => {
  test("carries an id of the request, and is neither stored nor guessed at", async () => {
    for (const path of ["/workspace", "/nothing", "/api_keys/7"]) {
      const { headers } = await api.get(path);
      expect(headers.get("X-Request-Id")).toMatch(/^[\w.-]{1,64}$/);
      expect(headers.get("Cache-Control")).toBe("no-store");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
    }
    const own = await api.get("/workspace", { "X-Request-Id": "job-17.a" });
    expect(own.headers.get("X-Request-Id")).toBe("job-17.a");
    const odd = await api.get("/workspace", { "X-Request-Id": "<script>" });
    expect(odd.headers.get("X-Request-Id")).not.toContain("<");
  });
});
