import { describe, expect, test } from "vitest";
import { testApi } from "../../support/api.ts";
import { openSyncScene } from "./syncScene.ts";

const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, ids } = scene;
const { db, pool } = egret.services.database;
const stranger = await testApi(egret, { workspaceName: "other" });
const syncId = await scene.make();

const LINK = {
  id: expect.any(Number),
  uri: expect.stringMatching(new RegExp(`^${egret.url}/connect/[\\w-]{43}\\?link=\\d+$`)),
  revoked: false,
  expired: false,
  expiration: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
  used: false,
  used_at: null,
  source_id: null,
  destination_id: null,
  sync_id: null,
  redirect_uri: null,
  type: null,
  created_at: expect.stringMatching(/Z$/),
};
const redirect_uri = "https://app.example.org/done?tab=2";
const lifetimeS = ({ expiration, created_at: at }: { expiration: string; created_at: string }) =>
  (Date.parse(expiration) - Date.parse(at)) / 1000;

describe("links", () => {
  test.each([
    ["/source_connect_links", { type: "postgres" }, { type: "postgres" }],
    ["/destination_connect_links", { type: "webhook", redirect_uri }, { type: "webhook", redirect_uri }],
    ["/destination_connect_links", { type: "http_request" }, { type: "http_request" }],
    ["/sync_management_links", { redirect_uri }, { redirect_uri }],
    ["/sync_management_links", {}, {}],
    ["/sync_management_links", undefined, {}],
    ["/segment_management_links", undefined, {}],
    [`/sources/${ids.warehouse}/connect_links`, undefined, { type: "postgres", source_id: ids.warehouse }],
    [
      `/destinations/${ids.crm}/connect_links`,
      { redirect_uri: null },
      { type: "http_request", destination_id: ids.crm },
    ],
    [`/syncs/${syncId}/connect_links`, { redirect_uri }, { redirect_uri, sync_id: syncId }],
  ])("POST %s with %j is created with an address that works for an hour", async (path, body, wanted) => {
    const { status, body: made } = await api.post(path, body);
    expect(made).toEqual({ status: "created", data: { ...LINK, ...wanted } });
    expect(status).toBe(201);
    expect(Math.round(lifetimeS(made.data))).toBe(3_600);
    const page = await fetch(made.data.uri);
    expect(page.status).toBe(200);
    expect(page.headers.get("Content-Type")).toMatch(/^text\/html/);
  });

  test("lists show links that work with their address, and others without", async () => {
    const first = (await api.post("/source_connect_links", { type: "postgres" })).body.data;
    const second = (await api.post("/source_connect_links", { type: "postgres" })).body.data;
    expect((await api.post(`/source_connect_links/${first.id}/revoke`)).status).toBe(201);
    const { status, body } = await api.get("/source_connect_links?per_page=2");
    expect(status).toBe(200);
    expect(body.data).toEqual([
      second,
      { ...first, revoked: true, expired: true, uri: `${egret.url}/connect/gone?link=${first.id}` },
    ]);
    expect((await fetch(body.data[1].uri)).status).toBe(404);
    expect((await fetch(first.uri)).status).toBe(410);
    expect((await fetch(second.uri)).status).toBe(200);
    expect(body.pagination.next_page).toBe(2);
  });

  test("of a token only its hash and its ciphertext stand in the database", async () => {
    const { uri } = (await api.post("/sync_management_links")).body.data;
    const token = new URL(uri).pathname.split("/").at(-1) ?? "";
    const { rows } = await pool.query("select to_jsonb(link)::text as text from egret.links link");
    expect(rows.length).toBeGreaterThan(0);
    for (const { text } of rows) {
      expect(text).not.toContain(token);
      expect(text).not.toContain(Buffer.from(token).toString("hex"));
    }
  });

  test("live as long as they are asked to, up to seven days", async () => {
    const { body } = await api.post("/sync_management_links", { expires_in: 604_800 });
    expect(Math.round(lifetimeS(body.data))).toBe(604_800);
    for (const expires_in of [604_801, 59, 1.5, "x"]) {
      const refused = await api.post("/sync_management_links", { expires_in });
      expect([refused.status, refused.body.errors?.[0].field]).toEqual([400, "expires_in"]);
    }
  });

  test("an address to go back to is http or https, without a password", async () => {
    for (const wrong of [
      "javascript:alert(1)",
      "//evil.example",
      "data:text/html,x",
      "https://u:p@example.org",
      "ftp://x",
      "https://*",
      "https://evil.example;script-src",
      5,
    ]) {
      const { status, body } = await api.post("/sync_management_links", { redirect_uri: wrong });
      expect([status, body.errors?.[0].field]).toEqual([400, "redirect_uri"]);
    }
    expect((await api.post("/source_connect_links", { type: "oracle" })).body.errors).toEqual([
      { field: "type", message: expect.stringContaining("postgres") },
    ]);
    expect((await api.post("/destination_connect_links", {})).status).toBe(400);
  });

  test("nobody makes one for an object of another workspace, nor sees or ends another's", async () => {
    for (const path of [
      `/sources/${ids.warehouse}/connect_links`,
      `/destinations/${ids.ops}/connect_links`,
      `/syncs/${syncId}/connect_links`,
    ]) {
      expect(await stranger.post(path, {})).toMatchObject({ status: 404, body: { status: 404 } });
    }
    const { id, uri } = (await api.post("/sync_management_links")).body.data;
    expect((await stranger.get("/sync_management_links")).body.data).toEqual([]);
    expect((await stranger.post(`/sync_management_links/${id}/revoke`)).status).toBe(404);
    expect((await stranger.delete(`/sync_management_links/${id}`)).status).toBe(404);
    // Nor by another kind's path.
    expect((await api.post(`/source_connect_links/${id}/revoke`)).status).toBe(404);
    expect((await api.delete(`/source_connect_links/${id}`)).status).toBe(404);
    expect((await fetch(uri)).status).toBe(200);
    expect(await api.delete(`/sync_management_links/${id}`)).toMatchObject({
      status: 200,
      body: { status: "deleted" },
    });
    expect((await fetch(uri)).status).toBe(404);
  });

  test("need the scope admin, to be listed too: their address gives it", async () => {
    const reader = await testApi(egret, { workspaceName: "demo", scopes: ["read", "operate"] });
    for (const answer of [
      await reader.get("/source_connect_links"),
      await reader.post("/sync_management_links"),
      await reader.post(`/syncs/${syncId}/connect_links`),
    ])
      expect(answer.status).toBe(403);
  });

  test("of segments there are none to edit", async () => {
    const path = `/sources/${ids.warehouse}/filter_segments/1/segment_management_links`;
    expect(await api.post(path, { redirect_uri })).toMatchObject({ status: 404, body: { status: 404 } });
  });

  test("go with what they are for, and those long past go by themselves", async () => {
    const made = await scene.make({ label: "Short life" });
    const link = (await api.post(`/syncs/${made}/connect_links`)).body.data;
    const old = (await api.post("/sync_management_links")).body.data;
    expect((await api.delete(`/syncs/${made}`)).status).toBe(200);
    expect((await fetch(link.uri)).status).toBe(404);
    await pool.query("update egret.links set expires_at = now() - interval '31 days' where id = $1", [
      old.id,
    ]);
    await api.post("/sync_management_links");
    const left = await db
      .selectFrom("egret.links")
      .select("id")
      .where("id", "in", [link.id, old.id])
      .execute();
    expect(left).toEqual([]);
  });
});
