/** A change that is made on the page of a sync: what it sends again is told, and it is saved once that is confirmed. */
import { beforeAll, describe, expect, test } from "vitest";
import { triggerAndWait } from "../support/egret.ts";
import { openSyncScene } from "./api/syncScene.ts";
import { fieldsOf, open, send } from "./pageForms.ts";

const ROWS = 1_234;
const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api } = scene;
const { pool } = egret.services.database;

const nameOf = async (id: number): Promise<string> =>
  (await pool.query("select name from egret.syncs where id = $1", [id])).rows[0].name;
const standing = async (id: number) => (await api.get(`/syncs/${id}`)).body.data;
/** Fields of the mappings, the key left out. */
const sentFields = async (id: number): Promise<string[]> =>
  (await standing(id)).mappings
    .map(({ to }: { to: string }) => to)
    .filter((to: string) => to !== "unique_id");

/** A sync that has run, its page, and the form as it is filled in with one more column. */
async function visit(changes: object = {}) {
  const id = await scene.make(changes);
  await triggerAndWait(egret, { sync: await nameOf(id) });
  return { id, ...(await visitAgain(id)) };
}
async function visitAgain(id: number) {
  const { id: linkId, uri } = (await api.post(`/syncs/${id}/connect_links`)).body.data;
  const fields = fieldsOf((await send(uri, { ...fieldsOf((await open(uri)).text), action: "add" })).text);
  const { "map.1.from": _, ...rest } = fields;
  const more = { ...rest, "map.1.from": "column:email", "map.1.to": "email", action: "save" };
  return { linkId, uri, same: { ...fields, action: "save" }, more };
}

beforeAll(async () => {
  await scene.warehouse(`insert into people select n, 'Person ' || n, 'p' || n, 'trial', '2026-02-03T00:00:00Z'
    from generate_series(4, ${ROWS}) n`);
});

describe("a change that sends rows again", () => {
  test("is told with their number, and saved by the form that comes back, once", async () => {
    const { id, linkId, uri, more } = await visit();
    const before = await standing(id);
    const asked = await send(uri, { ...more, label: "Renamed" });
    expect(asked.status).toBe(409);
    expect(asked.text).toContain("1,234 rows will be sent again.");
    expect(asked.text).toContain("A field was added.");
    expect(asked.text).toContain("Save, and send again</button>");
    expect(await standing(id)).toEqual(before);
    const fields = fieldsOf(asked.text);
    expect(fields).toMatchObject({ label: "Renamed", "map.1.from": "column:email", "map.1.to": "email" });
    const saved = await send(uri, { ...fields, action: "save" });
    expect(saved.status).toBe(200);
    expect(saved.text).toContain("Saved");
    expect(await sentFields(id)).toEqual(["name", "email"]);
    const { data } = (await api.get("/audit_log?order=asc&per_page=100")).body;
    const entries = data.filter(({ link_id }: { link_id: number | null }) => link_id === linkId);
    expect(entries.map(({ status }: { status: number }) => status)).toEqual([200, 409, 200]);
    const { events } = await triggerAndWait(egret, { sync: await nameOf(id) });
    expect(JSON.stringify(events)).toContain('"mapping_added"');
  });

  test("is asked about anew when the form was changed after it was told, but not for a new name", async () => {
    const { id, uri, more } = await visit();
    const { confirmed = "" } = fieldsOf((await send(uri, more)).text);
    expect(confirmed).not.toBe("");
    const other = { ...more, confirmed, "map.2.from": "column:plan", "map.2.to": "plan" };
    const again = await send(uri, other);
    expect(again.status).toBe(409);
    expect((await send(uri, { ...other, confirmed: "1" })).status).toBe(409);
    expect(await sentFields(id)).toEqual(["name"]);
    const last = { ...fieldsOf(again.text), label: "Another name", paused: "1", action: "save" };
    expect((await send(uri, last)).status).toBe(200);
    expect(await sentFields(id)).toEqual(["name", "email", "plan"]);
    expect(await standing(id)).toMatchObject({ label: "Another name", paused: true });
  });

  test("says of one that begins anew that it is all rows", async () => {
    const body = scene.body() as { mappings: object[] };
    const { id, uri, same } = await visit({
      operation: "append",
      historical_sync_operation: "backfill_all_records",
      mappings: [...body.mappings, { from: { type: "column", data: "email" }, to: "email" }],
    });
    const asked = await send(uri, { ...same, key: "seen_at" });
    expect(asked.status).toBe(409);
    expect(asked.text).toContain("All rows will be sent again.");
    expect(asked.text).toContain("The key is another one.");
    expect(await sentFields(id)).toEqual(["name", "email"]);
  });

  test("is refused as ever when it is wrong, and nothing is asked", async () => {
    const { uri, more } = await visit();
    const { status, text } = await send(uri, { ...more, "map.1.from": "column:gone" });
    expect(status).toBe(400);
    expect(text).toMatch(/id="e-map\.1"/);
    expect(text).not.toContain("sent again");
  });
});

describe("a change that sends nothing again is saved at once:", () => {
  test("a name, a pause and a schedule", async () => {
    const { id, uri, same } = await visit();
    const quiet = { ...same, label: "Renamed", paused: "1", frequency: "hourly", minute: "5" };
    expect((await send(uri, quiet)).status).toBe(200);
    expect(await standing(id)).toMatchObject({ label: "Renamed", paused: true });
  });

  test("a mapping that goes", async () => {
    const body = scene.body() as { mappings: object[] };
    const { id, uri, same } = await visit({
      mappings: [...body.mappings, { from: { type: "column", data: "email" }, to: "email" }],
    });
    expect((await send(uri, { ...same, "map.1.drop": "1" })).status).toBe(200);
    expect(await sentFields(id)).toEqual(["name"]);
  });

  test("any of a sync that has not run", async () => {
    const id = await scene.make();
    const { uri, more } = await visitAgain(id);
    expect((await send(uri, more)).status).toBe(200);
    expect(await sentFields(id)).toEqual(["name", "email"]);
  });
});
