/** POST with an Idempotency-Key: done once, answered again. */
import { beforeAll, describe, expect, test, vi } from "vitest";
import { CONFIGURATION_LOCK } from "../../../src/configuration/announce.ts";
import { purgeApi } from "../../../src/configuration/apiRetention.ts";
import { askApi, type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

const withKey = (key: string) => ({ "Idempotency-Key": key });
const keyCount = async (): Promise<number> => (await api.get("/api_keys")).body.pagination.total_records;

async function isUnderWay(): Promise<boolean> {
  const { rows } = await egret.services.database.pool.query(
    "select 1 from egret.api_idempotency where answer is null",
  );
  return rows.length > 0;
}

describe("a POST with a key", () => {
  test("is done once, and repeated it gets the first answer again with its one-time secret", async () => {
    const before = await keyCount();
    const first = await api.post("/api_keys", { name: "once" }, withKey("a-1"));
    expect(first.status).toBe(201);
    expect(first.headers.get("Idempotency-Replayed")).toBeNull();
    const again = await api.post("/api_keys", { name: "once" }, withKey("a-1"));
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get("Idempotency-Replayed")).toBe("true");
    expect(again.headers.get("Content-Type")).toBe(first.headers.get("Content-Type"));
    expect(await keyCount()).toBe(before + 1);
  });

  test("keeps its answer encrypted", async () => {
    const { body } = await api.post("/api_keys", { name: "sealed" }, withKey("a-2"));
    const { rows } = await egret.services.database.pool.query<{ answer: string }>(
      "select answer from egret.api_idempotency where answer is not null",
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { answer } of rows) {
      expect(answer).toMatch(/^v1\./);
      expect(answer).not.toContain(body.data.api_key);
      expect(answer).not.toContain("sealed");
    }
  });

  test("with another body, path or query is refused", async () => {
    await api.post("/api_keys", { name: "a" }, withKey("a-3"));
    const other = await api.post("/api_keys", { name: "b" }, withKey("a-3"));
    expect(other.status).toBe(422);
    expect(other.body).toMatchObject({ status: "error", code: 422 });
    expect((await api.post("/api_keys?x=1", { name: "a" }, withKey("a-3"))).status).toBe(422);
  });

  test("is of its token alone", async () => {
    const other = await testApi(egret);
    const mine = await api.post("/api_keys", { name: "same" }, withKey("a-4"));
    const theirs = await other.post("/api_keys", { name: "same" }, withKey("a-4"));
    expect(theirs.status).toBe(201);
    expect(theirs.body.data.id).not.toBe(mine.body.data.id);
  });

  test("keeps a refusal of what was sent, but not one that can be otherwise later", async () => {
    const refused = await api.post("/api_keys", { scopes: [] }, withKey("a-5"));
    expect(refused.status).toBe(400);
    const again = await api.post("/api_keys", { scopes: [] }, withKey("a-5"));
    expect(again.headers.get("Idempotency-Replayed")).toBe("true");
    expect(again.body).toEqual(refused.body);
    const reader = await testApi(egret, { scopes: ["read"] });
    for (let count = 0; count < 2; count += 1) {
      const { status, headers } = await reader.post("/api_keys", { name: "a" }, withKey("a-6"));
      expect(status).toBe(403);
      expect(headers.get("Idempotency-Replayed")).toBeNull();
    }
  });

  test("is refused while the first is under way, and answered once that is done", async () => {
    const client = await egret.services.database.pool.connect();
    await client.query("select pg_advisory_lock($1)", [CONFIGURATION_LOCK]);
    const ask = () =>
      askApi(egret.url, api.personalToken, {
        method: "POST",
        path: "/workspaces",
        body: { name: "slow" },
        headers: withKey("a-7"),
      });
    const first = ask();
    try {
      await vi.waitFor(async () => expect(await isUnderWay()).toBe(true), { timeout: 20_000 });
      const second = await ask();
      expect(second.status).toBe(409);
      expect(second.headers.get("Retry-After")).toBe("1");
    } finally {
      await client.query("select pg_advisory_unlock($1)", [CONFIGURATION_LOCK]);
      client.release();
    }
    expect((await first).status).toBe(201);
    expect((await ask()).body).toEqual((await first).body);
    const { rows } = await egret.services.database.pool.query(
      "select 1 from egret.workspaces where label = 'slow'",
    );
    expect(rows).toHaveLength(1);
  });

  test("is known for a day, and one whose process died is free again after some minutes", async () => {
    const { pool } = egret.services.database;
    const first = await api.post("/api_keys", { name: "a" }, withKey("a-8"));
    await pool.query("update egret.api_idempotency set begun_at = now() - interval '23 hours'");
    expect((await api.post("/api_keys", { name: "a" }, withKey("a-8"))).body).toEqual(first.body);
    await pool.query("update egret.api_idempotency set begun_at = now() - interval '25 hours'");
    const next = await api.post("/api_keys", { name: "a" }, withKey("a-8"));
    expect(next.body.data.id).not.toBe(first.body.data.id);
    await pool.query("update egret.api_idempotency set answer = null");
    expect((await api.post("/api_keys", { name: "a" }, withKey("a-8"))).status).toBe(409);
    await pool.query("update egret.api_idempotency set begun_at = now() - interval '6 minutes'");
    expect((await api.post("/api_keys", { name: "a" }, withKey("a-8"))).status).toBe(201);
  });

  test("has to have one that is usable", async () => {
    for (const key of ["", "x".repeat(256), "é"]) {
      expect((await api.post("/api_keys", { name: "a" }, withKey(key))).status).toBe(400);
    }
  });
});

test("a key on another method is not looked at", async () => {
  const { body } = await api.post("/api_keys", { name: "gone" });
  const path = `/api_keys/${body.data.id}`;
  expect((await api.delete(path, withKey("b-1"))).status).toBe(200);
  expect((await api.delete(path, withKey("b-1"))).status).toBe(404);
});

test("keys that are past their day are swept with the rest of what is old", async () => {
  const { pool } = egret.services.database;
  await pool.query("delete from egret.api_idempotency");
  await api.post("/api_keys", { name: "a" }, withKey("c-1"));
  await api.post("/api_keys", { name: "a" }, withKey("c-2"));
  await pool.query(
    `update egret.api_idempotency set begun_at = now() - interval '25 hours'
     where key_sha256 = sha256('c-1')`,
  );
  const purge = { nowMs: Date.now(), isDryRun: false };
  const old = { table: "egret.api_idempotency", rows: 1 };
  expect(await purgeApi(pool, { ...purge, isDryRun: true })).toContainEqual(old);
  expect(await purgeApi(pool, purge)).toContainEqual(old);
  expect(await purgeApi(pool, purge)).toContainEqual({ ...old, rows: 0 });
});
