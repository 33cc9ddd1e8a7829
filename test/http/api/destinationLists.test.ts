/** Destinations that are there, over the API: their lists, objects and tests, who may see them, and their end. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, type TestEgret } from "../../support/egret.ts";
import type { Receiver } from "../../support/receiver.ts";
import { bodyOf, type DestinationScene, openDestinationScene } from "./destinationScene.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let receiver: Receiver;
let url: DestinationScene["url"];
let make: DestinationScene["make"];

beforeAll(async () => {
  ({ egret, api, other, receiver, url, make } = await openDestinationScene());
});
beforeEach(() => receiver.behave({}));
afterAll(() => receiver.close());

describe("DELETE /destinations/{id}", () => {
  test("deletes, and then there is none", async () => {
    const id = await make({ url: url() });
    const gone = await api.delete(`/destinations/${id}`);
    expect(gone.status).toBe(200);
    expect(gone.body).toEqual({ status: "deleted" });
    const { status, body } = await api.get(`/destinations/${id}`);
    expect(status).toBe(404);
    expect(body).toMatchObject({ status: 404, message: "Not found" });
  });

  test("refuses one that a sync uses, and names the sync", async () => {
    const { db } = egret.services.database;
    await db.schema.createTable("public.used").addColumn("id", "integer").execute();
    const yaml = `
workspace: used
sources: { here: { type: postgres, url: "${egret.databaseUrl}" } }
destinations: { ops: { type: webhook, url: "${url()}" } }
syncs: { rows: { source: here, table: public.used, destination: ops, key: id } }`;
    const id = await (await applyYaml(egret, yaml)).id("destination", "ops");
    const own = await testApi(egret, { workspaceName: "used" });
    const { status, body } = await own.delete(`/destinations/${id}`);
    expect(status).toBe(409);
    expect(body).toMatchObject({ status: "error", message: expect.stringContaining("rows") });
    expect((await own.get(`/destinations/${id}`)).status).toBe(200);
  });
});

describe("POST /destinations/{id}/test", () => {
  test("says how the destination answered, and keeps the outcome", async () => {
    const id = await make({ url: url(), auth_token: "Bearer x" });
    receiver.behave({ status: 503 });
    const failed = await api.post(`/destinations/${id}/test`);
    expect(failed.status).toBe(200);
    expect(failed.body).toMatchObject({
      status: "success",
      data: { id, success: false, http_status: 503, last_test_succeeded: false, message: expect.any(String) },
    });
    receiver.behave({});
    expect((await api.post(`/destinations/${id}/test`)).body.data.success).toBe(true);
    expect((await api.get(`/destinations/${id}`)).body.data.last_test_succeeded).toBe(true);
    expect(receiver.requests.at(-1)?.headers["authorization"]).toBe("Bearer x");
  });
});

describe("objects of a destination", () => {
  test("are one, of which any field can be sent beside the key", async () => {
    const id = await make({ url: url() });
    const { body } = await api.get(`/destinations/${id}/objects`);
    expect(body.data).toHaveLength(1);
    expect(body.pagination.total_records).toBe(1);
    const [object] = body.data;
    expect(object).toMatchObject({
      full_name: "webhook",
      label: "Webhook",
      supported_operations: ["upsert", "append", "mirror"],
      allow_custom_fields: true,
    });
    expect(object.fields).toEqual([
      expect.objectContaining({
        full_name: "unique_id",
        required_for_mapping: true,
        can_be_upsert_key: true,
        can_be_update_key: false,
        array: false,
        lookup_object: null,
      }),
    ]);
    expect((await api.get(`/destinations/${id}/objects/webhook`)).body.data).toEqual(object);
    expect((await api.get(`/destinations/${id}/objects/contacts`)).status).toBe(404);
  });

  test("of an HTTP Request take every operation", async () => {
    const id = await make({ url: receiver.url }, { type: "http_request" });
    const { body } = await api.get(`/destinations/${id}/objects/http_request`);
    expect(body.data.supported_operations).toEqual([
      "upsert",
      "update",
      "insert",
      "append",
      "mirror",
      "delete",
    ]);
  });

  test("and their fields can be refreshed, with or without a body", async () => {
    const id = await make({ url: url() });
    for (const path of ["refresh_objects", "objects/webhook/refresh_fields"]) {
      for (const body of [undefined, {}]) {
        const begun = await api.post(`/destinations/${id}/${path}`, body);
        expect(begun.status).toBe(200);
        expect(begun.body).toEqual({ refresh_key: expect.any(Number) });
        const status = await api.get(
          `/destinations/${id}/${path}_status?refresh_key=${begun.body.refresh_key}`,
        );
        expect(status.body).toEqual({ status: "completed" });
      }
    }
  });
});

describe("GET /destinations", () => {
  test("goes by page and by cursor in one order, newest first", async () => {
    const own = await testApi(egret, { workspaceName: "paged" });
    const ids: number[] = [];
    for (const n of [1, 2, 3]) {
      const { body } = await own.post("/destinations", bodyOf({ url: url() }, { name: `Number ${n}` }));
      ids.push(body.data.id);
    }
    const first = (await own.get("/destinations?per_page=2")).body;
    expect(first.data.map(({ id }: { id: number }) => id)).toEqual([ids[2], ids[1]]);
    expect(first.pagination).toMatchObject({ total_records: 3, next_page: 2, last_page: 2 });
    const next = await own.get(`/destinations?per_page=2&cursor=${first.pagination.next_cursor}`);
    expect(next.body.data.map(({ id }: { id: number }) => id)).toEqual([ids[0]]);
    const ascending = await own.get("/destinations?order=asc&per_page=250");
    expect(ascending.body.data.map(({ id }: { id: number }) => id)).toEqual(ids);
  });

  test("knows nothing of another workspace", async () => {
    const id = await make({ url: url() });
    const theirs = (await other.get("/destinations")).body.data.map((each: { id: number }) => each.id);
    expect(theirs).not.toContain(id);
    const answers = await Promise.all([
      other.get(`/destinations/${id}`),
      other.patch(`/destinations/${id}`, { service_connection: { name: "Mine" } }),
      other.delete(`/destinations/${id}`),
      other.post(`/destinations/${id}/test`),
      other.get(`/destinations/${id}/objects`),
      other.post(`/destinations/${id}/refresh_objects`),
      other.get(`/destinations/${id}/deliveries`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404, 404, 404]);
  });
});

describe("segments", () => {
  test("are none: lists are empty, and no id exists", async () => {
    const { db, box } = { ...egret.services.database, ...egret.services };
    const row = await db
      .insertInto("egret.sources")
      .values({
        workspace_id: api.workspaceId,
        name: "warehouse",
        type: "postgres",
        settings: "{}",
        secret: box.seal("test", "x"),
      })
      .returning("id")
      .executeTakeFirstOrThrow();
    const { status, body } = await api.get(`/sources/${row.id}/filter_segments`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "success",
      data: [],
      allowances: {},
      pagination: { next_page: null },
    });
    expect((await api.delete(`/sources/${row.id}/filter_segments/3`)).status).toBe(404);
    expect((await other.get(`/sources/${row.id}/filter_segments`)).status).toBe(404);
    await db.deleteFrom("egret.sources").where("id", "=", row.id).execute();
  });
});
