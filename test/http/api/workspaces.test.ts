/** Workspaces over the management API (behaviour.md 1.2, 10.3; api-clients.md 1.1, 2). */
import { beforeAll, describe, expect, test } from "vitest";
import { askApi, type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** With the personal token. */
function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  return askApi(egret.url, api.personalToken, { method, path, body, headers });
}

describe("a workspace", () => {
  test("is made with 201 and a key when it is asked for, which then works", async () => {
    const { status, body } = await ask("POST", "/workspaces", {
      name: "Marketing, EU",
      notification_emails: ["ops@example.com"],
      return_workspace_api_key: true,
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      status: "created",
      data: {
        id: expect.any(Number),
        name: "Marketing, EU",
        organization_id: 1,
        notification_emails: ["ops@example.com"],
        created_at: expect.stringMatching(INSTANT),
        api_key: expect.stringMatching(/^secret-token:/),
      },
    });
    const own = await askApi(egret.url, body.data.api_key, { path: "/workspace" });
    const { api_key: _, ...shown } = body.data;
    expect(own.body).toEqual({ status: "success", data: shown });
  });

  test("has no key in its answer unless asked, and no addresses unless given", async () => {
    const { body } = await ask("POST", "/workspaces", { name: "Plain" });
    expect(body.data).not.toHaveProperty("api_key");
    expect(body.data.notification_emails).toEqual([]);
  });

  test("is read, changed in what is given, and deleted when it is empty", async () => {
    const { id } = (await ask("POST", "/workspaces", { name: "Short-lived" })).body.data;
    const changed = await ask("PATCH", `/workspaces/${id}`, { notification_emails: ["a@example.com"] });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({
      status: "updated",
      data: { id, name: "Short-lived", notification_emails: ["a@example.com"] },
    });
    expect((await ask("PATCH", `/workspaces/${id}`, { name: "Renamed" })).body.data.name).toBe("Renamed");
    expect((await ask("GET", `/workspaces/${id}`)).body).toMatchObject({
      status: "success",
      data: { name: "Renamed", notification_emails: ["a@example.com"] },
    });
    const key = (await ask("GET", `/workspaces/${id}/api_key`)).body.api_key;
    const gone = await ask("DELETE", `/workspaces/${id}`);
    expect({ status: gone.status, body: gone.body }).toEqual({ status: 200, body: { status: "deleted" } });
    expect((await ask("GET", `/workspaces/${id}`)).status).toBe(404);
    expect((await ask("DELETE", `/workspaces/${id}`)).status).toBe(404);
    expect((await askApi(egret.url, key, { path: "/workspace" })).status).toBe(401);
  });

  test("that still has something is not deleted, and the refusal says what", async () => {
    const { id } = (await ask("POST", "/workspaces", { name: "Full" })).body.data;
    await egret.services.database.pool.query(
      `insert into egret.webhooks (workspace_id, name, endpoint, events, secret) values ($1, 'pager', 'https://example.com', '{}', 'x')`,
      [id],
    );
    const { status, body } = await ask("DELETE", `/workspaces/${id}`);
    expect(status).toBe(409);
    expect(body.message).toBe("Workspace Full still has 1 webhook: delete those first.");
    expect((await ask("GET", `/workspaces/${id}`)).status).toBe(200);
  });

  test("of the same name as another is another one", async () => {
    const first = (await ask("POST", "/workspaces", { name: "Twin" })).body.data;
    const second = (await ask("POST", "/workspaces", { name: "Twin" })).body.data;
    expect(second.id).not.toBe(first.id);
    expect(second.name).toBe("Twin");
  });

  test("with a name or address that cannot be one is refused by field", async () => {
    for (const [body, field] of [
      [{}, "name"],
      [{ name: " " }, "name"],
      [{ name: 7 }, "name"],
      [{ name: "a", notification_emails: ["nobody"] }, "notification_emails[0]"],
    ] as const) {
      const { status, body: answer } = await ask("POST", "/workspaces", body);
      expect({ field, status }).toEqual({ field, status: 400 });
      expect(answer.errors).toMatchObject([{ field }]);
    }
  });
});

describe("a workspace that another process deletes", () => {
  test("gets nothing more from its keys, which are believed for a moment", async () => {
    const { data } = (await ask("POST", "/workspaces", { name: "Brief", return_workspace_api_key: true }))
      .body;
    const keyed = (path: string, body: object) =>
      askApi(egret.url, data.api_key, { method: "POST", path, body });
    expect((await keyed("/api_keys", { name: "before" })).status).toBe(201);
    const { pool } = egret.services.database;
    await pool.query("delete from egret.api_tokens where workspace_id = $1", [data.id]);
    await pool.query("delete from egret.workspaces where id = $1", [data.id]);
    for (const [path, body] of [
      ["/api_keys", { name: "after" }],
      ["/source_connect_links", { type: "postgres" }],
      ["/webhooks", { name: "after", endpoint: "https://ops.example.org/" }],
    ] as const) {
      const { status } = await keyed(path, body);
      expect([path, status]).toEqual([path, expect.toSatisfy((one) => [401, 404, 409].includes(one))]);
    }
  });
});

describe("the key that can be read back", () => {
  test("stands flat in the answer, is the same each time, and only there in clear", async () => {
    const path = `/workspaces/${api.workspaceId}/api_key`;
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask("GET", path)));
    const [first] = answers;
    expect(first?.body).toEqual({ api_key: expect.stringMatching(/^secret-token:/) });
    for (const { body } of answers) expect(body).toEqual(first?.body);
    const { rows } = await egret.services.database.pool.query<{ row: string }>(
      "select row_to_json(token)::text as row from egret.api_tokens token",
    );
    for (const { row } of rows) expect(row).not.toContain(first?.body.api_key.slice(-43));
    expect((await askApi(egret.url, first?.body.api_key, { path: "/workspace" })).body.data.id).toBe(
      api.workspaceId,
    );
  });

  test("is made anew after it was revoked", async () => {
    const path = `/workspaces/${api.workspaceId}/api_key`;
    const before = (await ask("GET", path)).body.api_key;
    const keys = (await api.get("/api_keys?per_page=100")).body.data;
    const { id } = keys.find(({ name }: { name: string }) => name === "workspace key");
    expect((await api.delete(`/api_keys/${id}`)).status).toBe(200);
    const after = (await ask("GET", path)).body.api_key;
    expect(after).not.toBe(before);
    expect((await askApi(egret.url, before, { path: "/workspace" })).status).toBe(401);
  });

  test("of a workspace that is none is not found", async () => {
    expect((await ask("GET", "/workspaces/999999/api_key")).body).toMatchObject({ status: 404 });
  });
});

describe("concurrency", () => {
  test("a change that names an old version is refused with 412, and one that names the newest is made", async () => {
    const { id } = (await ask("POST", "/workspaces", { name: "Edited" })).body.data;
    const tag = (await ask("GET", `/workspaces/${id}`)).headers.get("ETag") ?? "";
    expect(tag).toMatch(/^"v\d+"$/);
    const made = await ask("PATCH", `/workspaces/${id}`, { name: "Edited 2" }, { "If-Match": tag });
    expect(made.status).toBe(200);
    expect(made.headers.get("ETag")).not.toBe(tag);
    const late = await ask("PATCH", `/workspaces/${id}`, { name: "Edited 3" }, { "If-Match": tag });
    expect(late.status).toBe(412);
    expect(late.body).toMatchObject({ status: "error", code: 412 });
    expect((await ask("GET", `/workspaces/${id}`)).body.data.name).toBe("Edited 2");
    const newest = `W/${made.headers.get("ETag")}`;
    expect(
      (await ask("PATCH", `/workspaces/${id}`, { name: "Edited 4" }, { "If-Match": newest })).status,
    ).toBe(200);
    expect((await ask("PATCH", `/workspaces/${id}`, { name: "Edited 5" }, { "If-Match": "*" })).status).toBe(
      200,
    );
    const many = (await ask("GET", `/workspaces/${id}`)).headers.get("ETag");
    const known = { "If-Match": `${tag}, ${many}` };
    expect((await ask("PATCH", `/workspaces/${id}`, { name: "Edited 6" }, known)).status).toBe(200);
    expect((await ask("PATCH", `/workspaces/${id}`, { name: "Edited 7" }, known)).status).toBe(412);
    const odd = await ask("PATCH", `/workspaces/${id}`, { name: "x" }, { "If-Match": "yesterday" });
    expect(odd.status).toBe(412);
    expect((await ask("DELETE", `/workspaces/${id}`, undefined, { "If-Match": tag })).status).toBe(412);
  });
});

describe("the list", () => {
  test("is paged by number and by cursor, in a stable order", async () => {
    const all = (await ask("GET", "/workspaces?per_page=100&order=asc")).body;
    const ids = all.data.map(({ id }: { id: number }) => id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(all.pagination).toMatchObject({
      total_records: ids.length,
      page: 1,
      next_page: null,
      last_page: 1,
    });
    const seen: number[] = [];
    let path: string | null = "/workspaces?per_page=2&order=asc";
    while (path !== null) {
      const { body } = await ask("GET", path);
      seen.push(...body.data.map(({ id }: { id: number }) => id));
      path = body.next === null ? null : body.next.slice(body.next.indexOf("/workspaces"));
    }
    expect(seen).toEqual(ids);
    const byCursor: number[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const { body } = await ask("GET", `/workspaces?per_page=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
      byCursor.push(...body.data.map(({ id }: { id: number }) => id));
      cursor = body.pagination.next_cursor;
    }
    expect(byCursor).toEqual(ids.reverse());
  });

  test("names the address that the client used in `next`, also behind a proxy", async () => {
    const { body } = await ask("GET", "/workspaces?per_page=1", undefined, {
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "egret.example",
    });
    expect(body.next).toBe("https://egret.example/api/v1/workspaces?per_page=1&page=2");
  });
});

test("each change is announced to the log with who made it", async () => {
  const { id } = (await ask("POST", "/workspaces", { name: "Told", notification_emails: ["p@example.com"] }))
    .body.data;
  const { rows } = await egret.services.database.pool.query<{ change: string; data: { actor: string } }>(
    "select change, data from egret.outbox where kind = 'workspace' and object_id = $1",
    [id],
  );
  expect(rows).toMatchObject([{ change: "created", data: { actor: "API token test person" } }]);
  expect(JSON.stringify(rows)).not.toContain("p@example.com");
});
