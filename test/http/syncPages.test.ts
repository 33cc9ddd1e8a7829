import { describe, expect, test } from "vitest";
import { testApi } from "../support/api.ts";
import { openSyncScene } from "./api/syncScene.ts";
import { fieldsOf, open, send } from "./pageForms.ts";

const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, ids, receiver } = scene;
const { pool } = egret.services.database;
const stranger = await testApi(egret, { workspaceName: "other" });
const redirect_uri = "https://app.example.org/done?tab=2";

interface Link {
  id: number;
  uri: string;
}
const link = async (path: string, body?: object): Promise<Link> => (await api.post(path, body)).body.data;

const countOf = async (table: "sources" | "destinations" | "syncs") =>
  (await pool.query(`select count(*)::int as n from egret.${table}`)).rows[0].n as number;

describe("the page of a sync", () => {
  test("edits label, schedule, pause and mappings", async () => {
    const id = await scene.make({
      mappings: [
        { from: { type: "column", data: "id" }, to: "unique_id", is_primary_identifier: true },
        { from: { type: "column", data: "name" }, to: "name", sync_null_values: false },
        { from: { type: "constant_value", data: { value: 5, basic_type: "number" } }, to: "score" },
      ],
    });
    const { uri } = await link(`/syncs/${id}/connect_links`, { redirect_uri });
    const page = await open(uri);
    const fields = fieldsOf(page.text);
    expect(fields).toMatchObject({
      label: "People to ops",
      frequency: "never",
      key: "id",
      "map.count": "2",
      "map.0.from": "column:name",
      "map.0.to": "name",
      "map.1.from": "constant",
      "map.1.value": "5",
    });
    const more = fieldsOf((await send(uri, { ...fields, action: "add" })).text);
    expect(more["map.count"]).toBe("5");
    const saved = await send(uri, {
      ...more,
      label: "People, renamed",
      paused: "1",
      frequency: "daily",
      hour: "6",
      minute: "30",
      "map.1.drop": "1",
      "map.2.from": "template",
      "map.2.value": "{{ record['email'] | downcase }}",
      "map.2.to": "email",
      "map.3.from": "column:plan",
      action: "save",
    });
    expect(saved.status).toBe(303);
    expect(saved.headers.get("Location")).toBe(`${redirect_uri}&sync_id=${id}`);
    const { data } = (await api.get(`/syncs/${id}`)).body;
    expect(data).toMatchObject({ label: "People, renamed", paused: true, operation: "upsert" });
    expect(data.mode.triggers.schedule).toMatchObject({ frequency: "daily", hour: 6, minute: 30 });
    const sent = data.mappings.filter(
      (mapping: { is_primary_identifier: boolean }) => !mapping.is_primary_identifier,
    );
    expect(sent.map(({ to, from }: { to: string; from: { type: string } }) => [to, from.type])).toEqual([
      ["name", "column"],
      ["email", "liquid_template"],
      ["plan", "column"],
    ]);
    expect(sent[0].sync_null_values).toBe(false);

    const second = await link(`/syncs/${id}/connect_links`);
    const { paused: _, ...unpaused } = fieldsOf((await open(second.uri)).text);
    await send(second.uri, { ...unpaused, action: "save" });
    expect((await api.get(`/syncs/${id}`)).body.data.paused).toBe(false);
  });

  test("says at the row what is wrong with it, and changes nothing", async () => {
    const id = await scene.make();
    const before = (await api.get(`/syncs/${id}`)).body.data;
    const { uri } = await link(`/syncs/${id}/connect_links`);
    const fields = fieldsOf((await send(uri, { ...fieldsOf((await open(uri)).text), action: "add" })).text);
    const rows = {
      ...fields,
      "map.0.drop": "1",
      "map.1.from": "template",
      "map.1.value": "{{ record['nothing'] }}",
      "map.1.to": "x",
      "map.2.from": "column:gone",
      "map.2.to": "y",
      action: "save",
    };
    const { status, text } = await send(uri, rows);
    expect(status).toBe(400);
    expect(text).toMatch(/id="e-map\.1"/);
    expect(text).toMatch(/id="e-map\.2"/);
    expect(text).not.toMatch(/id="e-map\.0"/);
    const cron = await send(uri, {
      ...fields,
      frequency: "expression",
      cron_expression: "every day",
      action: "save",
    });
    expect(cron.text).toMatch(/id="e-cron_expression">Write five fields/);
    const hour = await send(uri, {
      ...fields,
      frequency: "daily",
      hour: "25",
      minute: "soon",
      action: "save",
    });
    expect(hour.text).toMatch(/id="e-hour"/);
    expect(hour.text).toMatch(/id="e-minute"/);
    expect((await api.get(`/syncs/${id}`)).body.data).toEqual(before);
  });

  test("makes a sync of what the workspace has, and of nothing else", async () => {
    const { uri, id: linkId } = await link("/sync_management_links");
    const choice = await open(uri);
    expect(choice.text).toContain("people (model)");
    const fields = fieldsOf(
      (
        await open(
          `${uri}&source_connection_id=${ids.warehouse}&model_id=${ids.people}&destination_connection_id=${ids.crm}`,
        )
      ).text,
    );
    expect(fields).toMatchObject({ key: "id", "map.count": "4", "map.0.from": "column:name" });
    const others = await stranger.post("/destinations", {
      service_connection: { type: "webhook", name: "Theirs", credentials: { url: receiver.url } },
    });
    const count = await countOf("syncs");
    const foreign = await send(uri, { ...fields, destination: String(others.body.data.id), action: "save" });
    expect(foreign.text).toContain("Choose what is read");
    expect(await countOf("syncs")).toBe(count);
    const saved = await send(uri, {
      ...fields,
      label: "By hand",
      operation: "mirror",
      "map.3.drop": "1",
      action: "save",
    });
    expect(saved.status).toBe(200);
    const [shown] = (await api.get("/sync_management_links?per_page=1")).body.data;
    expect(shown).toMatchObject({ id: linkId, used: true, sync_id: expect.any(Number) });
    const { data } = (await api.get(`/syncs/${shown.sync_id}`)).body;
    expect(data).toMatchObject({
      label: "By hand",
      operation: "mirror",
      source_attributes: { object: { type: "model", id: ids.people } },
      destination_attributes: { connection_id: ids.crm },
    });
    expect(data.mappings.map(({ to }: { to: string }) => to).toSorted()).toEqual([
      "email",
      "name",
      "plan",
      "unique_id",
    ]);
  });

  test("reads a table that is named by hand", async () => {
    const { uri } = await link("/sync_management_links");
    const text = (
      await open(`${uri}&typed_source=${ids.warehouse}&typed_table=public.people&destination=${ids.ops}`)
    ).text;
    expect((await send(uri, { ...fieldsOf(text), label: "Table", action: "save" })).status).toBe(200);
    const [made] = (await api.get("/syncs?per_page=1")).body.data;
    expect(made.source_attributes.object).toMatchObject({
      type: "table",
      table_schema: "public",
      table_name: "people",
    });
  });
});
