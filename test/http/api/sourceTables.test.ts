/** The tables of a source over the API. */
import { beforeAll, describe, expect, test } from "vitest";
import type { TestApi } from "../../support/api.ts";
import type { TestEgret } from "../../support/egret.ts";
import { AWAY, type ListedObject, openSourceScene, type SourceScene } from "./sourceScene.ts";

let egret: TestEgret;
let api: TestApi;
let credentials: SourceScene["credentials"];
let make: SourceScene["make"];
let objects: SourceScene["objects"];

beforeAll(async () => {
  ({ egret, api, credentials, make, objects } = await openSourceScene());
});

const ofShop = (all: ListedObject[]) =>
  all
    .filter((each) => each.type === "table" && each.table_schema === "shop")
    .map(({ table_name }) => table_name)
    .toSorted();

describe("a source's tables", () => {
  test("are listed with their columns, Egret's own schema never", async () => {
    const id = await make({ sync_engine: "advanced", state_schema: "egret_own" });
    const all = await objects(id);
    expect(ofShop(all)).toEqual(["open_orders", "orders", "parts"]);
    expect(all.some(({ table_schema }) => table_schema === "egret_own")).toBe(false);
    const orders = all.find(({ table_name }) => table_name === "orders")!;
    expect(orders).toEqual({
      type: "table",
      id: expect.any(Number),
      table_catalog: credentials["database"],
      table_schema: "shop",
      table_name: "orders",
      columns: [
        { name: "id", type: "bigint" },
        { name: "city", type: "text" },
      ],
    });
    const { status, body } = await api.get(`/sources/${id}/tables/${orders.id}`);
    expect([status, body]).toEqual([200, { status: "success", data: orders }]);
  });

  test("of a schema that becomes Egret's own are hidden at once", async () => {
    const id = await make();
    const own = (await objects(id)).find(({ table_schema }) => table_schema === "egret_own")!;
    const connection = { sync_engine: "advanced", state_schema: "egret_own" };
    await api.patch(`/sources/${id}`, { connection });
    expect((await objects(id)).some(({ table_schema }) => table_schema === "egret_own")).toBe(false);
    expect((await api.get(`/sources/${id}/tables/${own.id}`)).status).toBe(404);
  });

  test("keep their ids over refreshes, also when they went in between", async () => {
    const { pool } = egret.services.database;
    const id = await make();
    await pool.query("create table shop.seasonal (id int)");
    const find = async () => (await objects(id)).find(({ table_name }) => table_name === "seasonal");
    const refresh = async () => {
      const { status, body } = await api.post(`/sources/${id}/refresh_tables`);
      expect([status, body]).toEqual([200, { refresh_key: expect.any(Number) }]);
      return (await api.get(`/sources/${id}/refresh_tables_status?refresh_key=${body.refresh_key}`)).body;
    };
    expect(await refresh()).toEqual({ status: "completed", succeeded: true, message: null });
    const before = await find();
    await pool.query("drop table shop.seasonal");
    await refresh();
    expect(await find()).toBeUndefined();
    await pool.query("create table shop.seasonal (id int, more text)");
    await refresh();
    expect(await find()).toMatchObject({ id: before!.id, columns: [{}, { name: "more", type: "text" }] });
  });

  test("stay as they were known when the source is away, and lists do not wait for it", async () => {
    const id = await make();
    const before = await objects(id);
    await api.patch(`/sources/${id}`, { connection: { credentials: { port: 1, password: "s3cret-pw" } } });
    const { status, body } = await api.post(`/sources/${id}/refresh_tables`);
    expect(status).toBe(200);
    const told = await api.get(`/sources/${id}/refresh_tables_status?refresh_key=${body.refresh_key}`);
    expect(told.body).toMatchObject({ status: "completed", succeeded: false });
    expect(told.body.message).toContain("could not be reached");
    expect(JSON.stringify(told.body)).not.toContain("s3cret");
    expect(await objects(id)).toEqual(before);
    const table = before.find(({ table_name }) => table_name === "orders")!;
    const columns = await api.post(`/sources/${id}/tables/${table.id}/refresh_columns`);
    expect(columns.status).toBe(200);
    const key = columns.body.refresh_key;
    const status2 = await api.get(
      `/sources/${id}/tables/${table.id}/refresh_columns_status?refresh_key=${key}`,
    );
    expect(status2.body).toMatchObject({ status: "completed", succeeded: false });
  });

  test("of a source that never answered are none, and its list is asked for once", async () => {
    const id = await make({}, AWAY);
    expect(await objects(id)).toEqual([]);
    expect(await objects(id)).toEqual([]);
    const { rows } = await egret.services.database.pool.query(
      "select error from egret.source_refreshes where source_id = $1",
      [id],
    );
    expect(rows).toHaveLength(1);
  });

  test("get new columns by a refresh of one table", async () => {
    const { pool } = egret.services.database;
    const id = await make();
    await pool.query("create table shop.growing (id int)");
    await api.post(`/sources/${id}/refresh_tables`);
    const { id: tid } = (await objects(id)).find(({ table_name }) => table_name === "growing")!;
    await pool.query("alter table shop.growing add more text");
    const { body } = await api.post(`/sources/${id}/tables/${tid}/refresh_columns`);
    const path = `/sources/${id}/tables/${tid}/refresh_columns_status`;
    expect((await api.get(`${path}?refresh_key=${body.refresh_key}`)).body).toMatchObject({
      succeeded: true,
    });
    expect((await api.get(`${path}?refresh_key=${body.refresh_key + 1000}`)).status).toBe(404);
    expect((await api.get(`/sources/${id}/tables/${tid}`)).body.data.columns).toHaveLength(2);
    await pool.query("drop table shop.growing");
  });

  test("come page by page, with models among them, each once", async () => {
    const id = await make();
    await api.post(`/sources/${id}/models`, { name: "Ones", query: "select 1 as id" });
    const all = await objects(id, "per_page=100&order=asc");
    expect(all.filter(({ type }) => type === "model")).toHaveLength(1);
    const seen: ListedObject[] = [];
    let path: string | null = `/sources/${id}/objects?per_page=2&order=asc`;
    let last = 0;
    while (path !== null) {
      const { body } = await api.get(path);
      seen.push(...body.data);
      last = body.pagination.last_page;
      expect(body.pagination.total_records).toBe(all.length);
      path = body.next === null ? null : body.next.slice(body.next.indexOf("/sources/"));
    }
    expect(seen).toEqual(all);
    expect(last).toBe(Math.ceil(all.length / 2));
    const cursored: ListedObject[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const given: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body } = await api.get(`/sources/${id}/objects?per_page=3&order=asc${given}`);
      cursored.push(...body.data);
      cursor = body.pagination.next_cursor;
    }
    expect(cursored).toEqual(all);
  });
});
