import { describe, expect, test } from "vitest";
import { openSyncScene } from "./api/syncScene.ts";
import { fieldsOf, open, send } from "./pageForms.ts";

const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, ids, receiver } = scene;
const { db, pool } = egret.services.database;
/** A database that answers: our own will do. */
const warehouse = new URL(egret.databaseUrl);
const redirect_uri = "https://app.example.org/done?tab=2";
const SECRET = "s3cret <of> 4711";

interface Link {
  id: number;
  uri: string;
}
const link = async (path: string, body?: object): Promise<Link> => (await api.post(path, body)).body.data;

const SOURCE = {
  label: "Team warehouse",
  hostname: warehouse.hostname,
  port: warehouse.port,
  database: warehouse.pathname.slice(1),
  user: decodeURIComponent(warehouse.username),
  password: decodeURIComponent(warehouse.password) || "any",
  sslmode: "disable",
  sync_engine: "basic",
  action: "save",
};
const DESTINATION = { label: "Team hook", url: `${receiver.url}/team`, auth_token: SECRET, action: "save" };
const countOf = async (table: "sources" | "destinations" | "syncs") =>
  (await pool.query(`select count(*)::int as n from egret.${table}`)).rows[0].n as number;

describe("the page of a new source", () => {
  test("asks for its fields, and is neither kept, framed by strangers nor run with foreign scripts", async () => {
    const { uri } = await link("/source_connect_links", { type: "postgres", redirect_uri });
    const { status, text, headers } = await open(uri);
    expect(status).toBe(200);
    expect(text).toContain("Connect a Postgres database");
    expect(text).toMatch(/<label for="f-hostname">Host/);
    expect(text).toMatch(/<input id="f-password" name="password" type="password" value=""/);
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("Referrer-Policy")).toBe("no-referrer");
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    const policy = headers.get("Content-Security-Policy") ?? "";
    expect(policy).toMatch(/^default-src 'none'; style-src 'nonce-[\w+/=]+'; script-src 'nonce-[\w+/=]+'; /);
    expect(policy).toContain("form-action 'self' https://app.example.org;");
    expect(policy).toContain("frame-ancestors https://app.example.org;");
    expect(policy).toContain("base-uri 'none'");
    expect(text).not.toMatch(/(src|href)="(?!https:\/\/app)/);
    // Another visit, another nonce.
    expect((await open(uri)).headers.get("Content-Security-Policy")).not.toBe(policy);
  });

  test("tries a connection without saving, and shows no secret", async () => {
    const { uri } = await link("/source_connect_links", { type: "postgres" });
    const before = await countOf("sources");
    const good = await send(uri, { ...SOURCE, action: "test" });
    expect(good.status).toBe(200);
    expect(good.text).toContain("The connection works.");
    const bad = await send(uri, { ...SOURCE, action: "test", database: "no_such_base", password: SECRET });
    expect(bad.text).toContain("The connection does not work.");
    expect(bad.text).not.toContain("4711");
    expect(fieldsOf(bad.text)).toMatchObject({
      label: "Team warehouse",
      database: "no_such_base",
      password: "",
    });
    expect(await countOf("sources")).toBe(before);
  });

  test("saves once, shows the link as used, and goes back with the id", async () => {
    const { id, uri } = await link("/source_connect_links", { type: "postgres", redirect_uri });
    // The secret typed for the test comes back sealed, and need not be typed again.
    const tried = fieldsOf((await send(uri, { ...SOURCE, action: "test" })).text);
    expect(tried["password"]).toBe("");
    const saved = await send(uri, { ...tried, action: "save" });
    expect(saved.status).toBe(303);
    const made = (await api.get("/sources?per_page=1")).body.data[0];
    expect(saved.headers.get("Location")).toBe(`${redirect_uri}&source_id=${made.id}`);
    expect(made).toMatchObject({ name: "Team warehouse", type: "postgres" });
    const row = await db
      .selectFrom("egret.sources")
      .selectAll()
      .where("id", "=", made.id)
      .executeTakeFirstOrThrow();
    expect(row.managed_by).toBe("api");
    const [shown] = (await api.get("/source_connect_links?per_page=1")).body.data;
    expect(shown).toMatchObject({ id, used: true, expired: true, revoked: false, source_id: made.id });
    expect(await open(uri)).toMatchObject({
      status: 410,
      text: expect.stringContaining("This link was used"),
    });
    const again = await send(uri, { ...SOURCE, label: "Second" });
    expect(again.status).toBe(410);
    const events = await pool.query(
      "select change, data from egret.outbox where kind = 'source' and object_id = $1",
      [made.id],
    );
    for (const { data } of events.rows) expect(JSON.stringify(data)).not.toContain(SOURCE.password);
  });

  test("of two that save at once one does", async () => {
    const { uri } = await link("/source_connect_links", { type: "postgres" });
    const before = await countOf("sources");
    const answers = await Promise.all([send(uri, SOURCE), send(uri, SOURCE), send(uri, SOURCE)]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 410, 410]);
    expect(await countOf("sources")).toBe(before + 1);
  });

  test("says at each field what is wrong, and the link works on", async () => {
    const { uri } = await link("/source_connect_links", { type: "postgres" });
    const before = await countOf("sources");
    const { status, text } = await send(uri, { ...SOURCE, hostname: "", port: "x", password: SECRET });
    expect(status).toBe(400);
    expect(text).toMatch(/id="e-hostname">Is missing/);
    expect(text).toMatch(/id="e-port">Must be a number/);
    expect(text).toMatch(/name="port"[^>]*aria-invalid="true"/);
    expect(text).not.toContain("4711");
    const unnamed = await send(uri, { ...SOURCE, label: " " });
    expect(unnamed.text).toMatch(/id="e-label">Give it a name/);
    expect(await countOf("sources")).toBe(before);
    expect((await send(uri, SOURCE)).status).toBe(200);
  });
});

describe("links of any kind", () => {
  test("that have expired or were withdrawn say so, show nothing and save nothing", async () => {
    const before = await countOf("destinations");
    for (const [end, words] of [
      ["expires_at = now() - interval '1 second'", "has expired"],
      ["revoked_at = now()", "was withdrawn"],
    ] as const) {
      const { id, uri } = await link(`/destinations/${ids.ops}/connect_links`);
      const fields = fieldsOf((await open(uri)).text);
      await pool.query(`update egret.links set ${end} where id = $1`, [id]);
      for (const page of [await open(uri), await send(uri, { ...fields, action: "save" })]) {
        expect(page.status).toBe(410);
        expect(page.text).toContain(words);
        expect(page.text).not.toContain("<form");
      }
    }
    expect(await countOf("destinations")).toBe(before);
  });

  test("do what they are for alone", async () => {
    const [sources, syncs] = [await countOf("sources"), await countOf("syncs")];
    const sync = await link("/sync_management_links");
    await send(sync.uri, SOURCE);
    const connect = await link("/destination_connect_links", { type: "webhook" });
    await send(connect.uri, {
      object: `model:${ids.people}`,
      destination: String(ids.ops),
      key: "id",
      action: "save",
    });
    await send(connect.uri, SOURCE);
    expect([await countOf("sources"), await countOf("syncs")]).toEqual([sources, syncs]);
    const token = new URL(sync.uri).pathname.split("/").at(-1);
    const answer = await fetch(`${egret.url}/api/v1/syncs`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
    for (const wrong of [api.token, "x".repeat(43), "x".repeat(4000), "%00", "..%2f"]) {
      expect((await open(`${egret.url}/connect/${wrong}`)).status).toBe(404);
    }
  });

  test("take forms from their own page alone, of a size that a person sends", async () => {
    const { uri } = await link("/destination_connect_links", { type: "webhook" });
    const before = await countOf("destinations");
    for (const headers of [
      { "Sec-Fetch-Site": "cross-site" },
      { "Sec-Fetch-Site": "same-site" },
      { Origin: "https://evil.example" },
    ]) {
      expect((await send(uri, DESTINATION, headers as Record<string, string>)).status).toBe(403);
    }
    expect((await send(uri, { ...DESTINATION, label: "x".repeat(600_000) })).status).toBe(413);
    expect((await fetch(uri, { method: "DELETE" })).status).toBe(405);
    expect(await countOf("destinations")).toBe(before);
    const ours = { "Sec-Fetch-Site": "same-origin", Origin: "null" };
    expect((await send(uri, DESTINATION, ours)).status).toBe(200);
  });

  test("inside of a frame end with a message to the page around, not with a redirect into it", async () => {
    const { uri } = await link("/destination_connect_links", { type: "webhook", redirect_uri });
    const { status, text } = await send(uri, { ...DESTINATION, framed: "1" });
    expect(status).toBe(200);
    const [made] = (await api.get("/destinations?per_page=1")).body.data;
    expect(text).toContain(
      `data-exit="EXITED_CONNECT_FLOW" data-target="https://app.example.org" data-saved="${made.id}"`,
    );
    const free = await link("/sync_management_links");
    const page = await open(free.uri);
    expect(page.text).toContain('data-exit="EXITED_SYNC_FLOW" data-target="*" data-saved=""');
    expect(page.headers.get("Content-Security-Policy")).toContain("frame-ancestors *;");
  });

  test("to segments say that there are none", async () => {
    const { uri } = await link("/segment_management_links");
    expect(await open(uri)).toMatchObject({
      status: 200,
      text: expect.stringContaining("There are no segments here"),
    });
  });

  test("ask those who try too often to wait", async () => {
    const { uri } = await link("/destination_connect_links", { type: "webhook" });
    const statuses = await Promise.all(
      Array.from({ length: 30 }, () => send(uri, { ...DESTINATION, url: "not one", action: "test" })),
    );
    expect(statuses.some(({ status }) => status === 429)).toBe(true);
    expect(statuses.find(({ status }) => status === 429)?.headers.get("Retry-After")).toMatch(/^\d+$/);
  });
});
