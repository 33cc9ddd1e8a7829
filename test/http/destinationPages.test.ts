import { describe, expect, test } from "vitest";
import { openSyncScene } from "./api/syncScene.ts";
import { fieldsOf, open, send } from "./pageForms.ts";

const scene = await openSyncScene({ apiRequestsPerSecond: 0 });
const { egret, api, receiver } = scene;
/** A database that answers: our own will do. */
const warehouse = new URL(egret.databaseUrl);
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
describe("the page of a destination", () => {
  test("tries, saves and keeps what was entered; what a person typed is shown as text", async () => {
    const { uri } = await link("/destination_connect_links", { type: "webhook" });
    const label = '"><script>alert(1)</script>';
    const tested = await send(uri, {
      ...DESTINATION,
      label,
      "headers.name": "X-Key",
      "headers.value": SECRET,
      action: "test",
    });
    expect(tested.text).toContain("The connection works.");
    expect(receiver.requests.at(-1)?.headers).toMatchObject({ authorization: SECRET, "x-key": SECRET });
    expect(tested.text).not.toContain("<script>alert");
    expect(tested.text).not.toContain("4711");
    const saved = await send(uri, { ...fieldsOf(tested.text), action: "save" });
    expect(saved.status).toBe(200);
    expect(saved.text).toContain("Saved");
    const [made] = (await api.get("/destinations?per_page=1")).body.data;
    expect(made).toMatchObject({ name: label, type: "webhook" });
    await api.post(`/destinations/${made.id}/test`);
    expect(receiver.requests.at(-1)?.headers).toMatchObject({ authorization: SECRET, "x-key": SECRET });
    expect((await api.delete(`/destinations/${made.id}`)).status).toBe(200);
    expect((await open(uri)).status).toBe(404);
  });

  test("made for HTTP requests has its own fields", async () => {
    const { uri } = await link("/destination_connect_links", { type: "http_request" });
    const fields = fieldsOf((await open(uri)).text);
    expect(Object.keys(fields)).toEqual(expect.arrayContaining(["url", "path", "method", "oauth.token_url"]));
    const saved = await send(uri, {
      ...fields,
      label: "CRM",
      url: `${receiver.url}/crm`,
      path: "/people",
      batch_size: "50",
      action: "save",
    });
    expect(saved.status).toBe(200);
    const [made] = (await api.get("/destinations?per_page=1")).body.data;
    expect(made.connection_details).toMatchObject({
      url: `${receiver.url}/crm`,
      path: "/people",
      batch_size: 50,
    });
  });

  test("keeps a stored secret that is not typed again, and never sends it to another address", async () => {
    const credentials = { url: `${receiver.url}/kept`, auth_token: SECRET };
    const made = await api.post("/destinations", {
      service_connection: { type: "webhook", name: "Kept", credentials },
    });
    const id = made.body.data.id as number;
    const { uri } = await link(`/destinations/${id}/connect_links`);
    const page = await open(uri);
    expect(page.text).toContain("Update Kept");
    expect(page.text).toContain("Stored; leave this empty to keep it");
    expect(page.text).not.toContain("4711");
    const fields = fieldsOf(page.text);
    expect(fields["url"]).toBe(`${receiver.url}/kept`);
    // Another port is another address.
    for (const action of ["test", "save"]) {
      const moved = await send(uri, { ...fields, url: "http://127.0.0.1:1/mine", action });
      expect(moved.status).toBe(400);
      expect(moved.text).toMatch(/id="e-auth_token">The address changed: enter this again/);
    }
    const saved = await send(uri, {
      ...fields,
      url: `${receiver.url}/other`,
      label: "Renamed",
      action: "save",
    });
    expect(saved.status).toBe(200);
    expect((await api.get(`/destinations/${id}`)).body.data).toMatchObject({ id, name: "Renamed" });
    await api.post(`/destinations/${id}/test`);
    expect(receiver.requests.at(-1)).toMatchObject({ path: "/other", headers: { authorization: SECRET } });

    const second = await link(`/destinations/${id}/connect_links`);
    await send(second.uri, {
      ...fieldsOf((await open(second.uri)).text),
      "drop.auth_token": "1",
      action: "save",
    });
    await api.post(`/destinations/${id}/test`);
    expect(receiver.requests.at(-1)?.headers.authorization).toBeUndefined();
  });

  test("leaves alone what its fields cannot show: templates, parameters, results by row", async () => {
    const credentials = {
      url: `${receiver.url}/q`,
      payload: { json: "{{ record | json }}" },
      row_results: { results_path: "results" },
      url_parameters: { key: SECRET },
    };
    const made = await api.post("/destinations", {
      service_connection: { type: "http_request", name: "Templated", credentials },
    });
    const path = `/destinations/${made.body.data.id}`;
    const before = (await api.get(path)).body.data.connection_details;
    const { uri } = await link(`${path}/connect_links`);
    const fields = fieldsOf((await open(uri)).text);
    expect(JSON.stringify(fields)).not.toContain("4711");
    expect((await send(uri, { ...fields, parallel_requests: "7", action: "save" })).status).toBe(200);
    expect((await api.get(path)).body.data.connection_details).toEqual({ ...before, parallel_requests: 7 });
  });

  test("of a source keeps its password for its own host", async () => {
    const { uri } = await link("/source_connect_links", { type: "postgres" });
    await send(uri, SOURCE);
    const [{ id }] = (await api.get("/sources?per_page=1")).body.data;
    const update = await link(`/sources/${id}/connect_links`);
    const fields = fieldsOf((await open(update.uri)).text);
    expect(fields).toMatchObject({ hostname: SOURCE.hostname, database: SOURCE.database, password: "" });
    const moved = await send(update.uri, { ...fields, port: "1", action: "test" });
    expect(moved.text).toMatch(/id="e-password">The address changed/);
    const tested = await send(update.uri, { ...fields, action: "test" });
    expect(tested.text).toContain("The connection works.");
    expect((await send(update.uri, { ...fields, label: "Renamed", action: "save" })).status).toBe(200);
    expect((await api.get(`/sources/${id}`)).body.data.name).toBe("Renamed");
  });
});
