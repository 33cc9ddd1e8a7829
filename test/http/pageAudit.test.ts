/** The audit of the pages behind links: who wrote what with a link, from where. */
import { describe, expect, test } from "vitest";
import { openDatabase } from "../../src/projections/database.ts";
import { testApi } from "../support/api.ts";
import { testEgret } from "../support/egret.ts";
import { openSyncScene } from "./api/syncScene.ts";
import { fieldsOf, open, send } from "./pageForms.ts";

const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, ids, receiver } = scene;
const { pool } = egret.services.database;
const SECRET = "s3cret <of> 4711";
const DESTINATION = { label: "Team hook", url: `${receiver.url}/team`, auth_token: SECRET, action: "save" };

interface Link {
  id: number;
  uri: string;
}
const link = async (path: string, body?: object): Promise<Link> => (await api.post(path, body)).body.data;
/** Entries of a link, first to last. */
const entriesOf = async ({ id }: Link) =>
  ((await api.get("/audit_log?order=asc&per_page=100")).body.data as Record<string, unknown>[]).filter(
    ({ link_id }) => link_id === id,
  );
const tokenOf = ({ uri }: Link): string => new URL(uri).pathname.split("/").at(-1) ?? "";

describe("a form that is sent with a link", () => {
  test("leaves who, what, from where and how it ended, at once, and nothing of what was sent", async () => {
    const made = await link("/destination_connect_links", { type: "webhook" });
    const headers = { "User-Agent": "browser/7\ttab", "X-Request-Id": "p-1" };
    await open(made.uri);
    await fetch(made.uri, { method: "HEAD" });
    const refused = await send(made.uri, { ...DESTINATION, url: "not an address" }, headers);
    expect(refused.status).toBe(400);
    expect(refused.headers.get("X-Request-Id")).toBe("p-1");
    expect((await send(made.uri, { ...DESTINATION, action: "test" })).status).toBe(200);
    expect((await send(made.uri, DESTINATION)).status).toBe(200);
    expect((await send(made.uri, DESTINATION)).status).toBe(410);
    const [destination] = (await api.get("/destinations?per_page=1")).body.data;
    const who = {
      token_id: null,
      link_id: made.id,
      token_name: `link ${made.id} by API token test key`,
      id: expect.any(Number),
      at: expect.stringMatching(/^\d{4}-.*Z$/),
      method: "POST",
      address: expect.stringContaining("127.0.0.1"),
      user_agent: expect.any(String),
      request_id: expect.any(String),
    };
    const entries = await entriesOf(made);
    expect(entries).toEqual([
      { ...who, route: "/connect/{token}?action=save", object_id: null, status: 400 },
      { ...who, route: "/connect/{token}?action=test", object_id: null, status: 200 },
      { ...who, route: "/connect/{token}?action=save", object_id: String(destination.id), status: 200 },
      { ...who, route: "/connect/{token}", object_id: String(destination.id), status: 410 },
    ]);
    expect(entries[0]).toMatchObject({ user_agent: "browser/7 tab", request_id: "p-1" });
    expect(new Set(entries.map(({ request_id }) => request_id)).size).toBe(4);
    const stored = (await pool.query("select entry::text from egret.api_audit as entry")).rows;
    for (const secret of ["4711", "Team hook", "not an address", tokenOf(made)]) {
      expect(JSON.stringify(stored)).not.toContain(secret);
    }
  });

  test("is named with the object that the link is for", async () => {
    const id = await scene.make();
    const made = await link(`/syncs/${id}/connect_links`);
    const fields = fieldsOf((await open(made.uri)).text);
    await send(made.uri, { ...fields, action: "add" });
    await send(made.uri, { ...fields, action: "4711" });
    expect(await entriesOf(made)).toMatchObject([
      { route: "/connect/{token}?action=add", object_id: String(id), status: 200 },
      // What asks for nothing that is known saves; its words are not repeated.
      { route: "/connect/{token}", object_id: String(id), status: 200 },
    ]);
  });

  test("leaves it also where the form was not read, but not with a token that there is not", async () => {
    const made = await link(`/destinations/${ids.ops}/connect_links`);
    const before = (await api.get("/audit_log")).body.pagination.total_records;
    await send(made.uri, DESTINATION, { "Sec-Fetch-Site": "cross-site" });
    await send(made.uri, { ...DESTINATION, label: "x".repeat(600_000) });
    await fetch(made.uri, { method: "DELETE" });
    await send(`${egret.url}/connect/${"x".repeat(43)}`, DESTINATION);
    await send(`${egret.url}/connect/${"x".repeat(4000)}`, DESTINATION);
    const object = { object_id: String(ids.ops), route: "/connect/{token}" };
    expect(await entriesOf(made)).toMatchObject([
      { ...object, status: 403 },
      { ...object, status: 413 },
    ]);
    expect((await api.get("/audit_log")).body.pagination.total_records).toBe(before + 2);
  });

  test("fills the audit no faster than the pages take forms", async () => {
    const made = await link("/destination_connect_links", { type: "webhook" });
    const wrong = { "Sec-Fetch-Site": "cross-site" };
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => send(made.uri, DESTINATION, { ...wrong })),
    );
    const refused = answers.filter(({ status }) => status === 403);
    expect(refused.length).toBeLessThan(40);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(40 - refused.length);
    expect(await entriesOf(made)).toHaveLength(refused.length);
  });

  test("shows in the workspace of the link alone", async () => {
    const other = await testApi(egret, { workspaceName: "elsewhere" });
    expect((await other.get("/audit_log")).body.data).toEqual([]);
  });
});

test("an entry of a page that is still gathered when the process ends is written", async () => {
  const short = await testEgret({ roles: ["api"] });
  const caller = await testApi(short);
  const { body } = await caller.post("/destination_connect_links", { type: "webhook" });
  await send(body.data.uri, { action: "test" });
  const { databaseUrl } = short;
  await short.close();
  const database = openDatabase(databaseUrl);
  const rows = await database.db.selectFrom("egret.api_audit").select(["route", "link_id"]).execute();
  await database.close();
  expect(rows).toContainEqual({ route: "/connect/{token}?action=test", link_id: body.data.id });
});
