import { beforeAll, describe, expect, test } from "vitest";
import { readSource } from "../../../src/configuration/store.ts";
import { postgresSource } from "../../../src/sources/postgres.ts";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let credentials: Record<string, unknown> = {};

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
  other = await testApi(egret, { workspaceName: "other" });
  const { hostname, port, pathname, username, password } = new URL(egret.databaseUrl);
  credentials = {
    hostname,
    port: Number(port),
    database: pathname.slice(1),
    user: username,
    password: decodeURIComponent(password),
  };
  await egret.services.database.pool.query(`
    create schema shop; create schema egret_own;
    create table shop.orders (id bigint, city text); create view shop.open_orders as select id from shop.orders;
    create table shop."odd.name" (id int); create table egret_own.rows_1 (key text);
    create table shop.parts (id int, at date) partition by range (at);
    create table shop.parts_2026 partition of shop.parts for values from ('2026-01-01') to ('2027-01-01')`);
});

/** Nobody listens there. */
const AWAY = { hostname: "127.0.0.1", port: 1, database: "none", user: "u", password: "s3cret-pw" };

async function make(
  connection: Record<string, unknown> = {},
  sent: Record<string, unknown> = credentials,
): Promise<number> {
  const body = { connection: { type: "postgres", name: "Warehouse", credentials: sent, ...connection } };
  const { status, body: answer } = await api.post("/sources", body);
  expect(answer).toEqual({ status: "created", data: { id: expect.any(Number) } });
  expect(status).toBe(201);
  return answer.data.id;
}
const show = async (id: number) => (await api.get(`/sources/${id}`)).body.data;
const urlOf = async (id: number) => {
  const { database, box } = egret.services;
  return (await readSource(database.db, box, id))!.url;
};

describe("a source", () => {
  test("is made, shown without its secrets, and has an ETag", async () => {
    const id = await make();
    const { status, body, headers } = await api.get(`/sources/${id}`);
    expect(status).toBe(200);
    expect(headers.get("ETag")).toBe('"v1"');
    const { password: _, ...open } = credentials;
    expect(body).toEqual({
      status: "success",
      data: {
        id,
        name: "Warehouse",
        label: "Warehouse",
        type: "postgres",
        sync_engine: "basic",
        connection_details: open,
        read_only_connection: true,
        last_test_succeeded: null,
        last_tested_at: null,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        updated_at: expect.stringMatching(/Z$/),
      },
    });
  });

  test("may be out of reach, without a port, and have values of other types", async () => {
    const id = await make(
      {},
      {
        host: "127.0.0.1",
        port: "",
        database: 42,
        username: true,
        password: 12_345,
        sslmode: "",
        colour: ["ignored"],
      },
    );
    expect(await urlOf(id)).toBe("postgres://true:12345@127.0.0.1:5432/42");
    expect((await show(id)).connection_details).toEqual({
      hostname: "127.0.0.1",
      port: 5432,
      database: "42",
      user: "true",
    });
  });

  test("takes a password of any letters, and they reach the server as they are", async () => {
    const { pool } = egret.services.database;
    const password = `a:b@c/d?e#f%41 'ü"\\`;
    await pool.query(`create role odd_reader login password '${password.replaceAll("'", "''")}'`);
    try {
      const id = await make({}, { ...credentials, user: "odd_reader", password });
      const url = await urlOf(id);
      expect(decodeURIComponent(new URL(url).password)).toBe(password);
      const columns = await postgresSource.describeObject(
        { id, workspaceId: 1, name: "odd", type: "postgres", url },
        { type: "model", modelId: 0, name: "m", query: "select current_user as who" },
      );
      expect(columns).toEqual([{ name: "who", type: "name" }]);
    } finally {
      await pool.query("drop role odd_reader");
    }
  });

  test("may be given as one address", async () => {
    const id = await make({ name: undefined, label: "By address" }, { url: egret.databaseUrl });
    expect(await show(id)).toMatchObject({ name: "By address", label: "By address" });
    expect((await show(id)).connection_details).toMatchObject({ database: credentials["database"] });
  });

  test.each([
    ["no name", { name: undefined }, {}, "connection.name"],
    ["an empty name", { name: " " }, {}, "connection.name"],
    ["another type", { type: "snowflake" }, {}, "connection.type"],
    ["no hostname", {}, { hostname: "" }, "connection.credentials.hostname"],
    ["a hostname with more in it", {}, { hostname: "a.example/b" }, "connection.credentials.hostname"],
    ["no such port", {}, { port: 70_000 }, "connection.credentials.port"],
    ["no database", {}, { database: null }, "connection.credentials.database"],
    ["no user", {}, { user: undefined }, "connection.credentials.user"],
    ["a password that is no text", {}, { password: { a: 1 } }, "connection.credentials.password"],
    ["an unknown sslmode", {}, { sslmode: "maybe" }, "connection.credentials.sslmode"],
    ["no address", {}, { url: "mysql://a@b/c" }, "connection.credentials.url"],
    [
      "an address with a file in it",
      {},
      { url: "postgres://a@b/c?sslrootcert=/x" },
      "connection.credentials.url",
    ],
    ["an unknown engine", { sync_engine: "fast" }, {}, "connection.sync_engine"],
    [
      "a bookkeeping schema of others",
      { sync_engine: "advanced", state_schema: "public" },
      {},
      "connection.state_schema",
    ],
  ])("is refused with %s, by the name of the field", async (_, connection, changed, field) => {
    const sent = { ...AWAY, ...changed };
    const body = { connection: { type: "postgres", name: "Bad", credentials: sent, ...connection } };
    const { status, body: answer } = await api.post("/sources", body);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ status: "error", code: 400 });
    expect(answer.errors.map((each: { field: string }) => each.field)).toEqual([field]);
    expect(JSON.stringify(answer)).not.toContain("s3cret");
  });

  test("keeps in a change what is left out, its password too", async () => {
    const id = await make({}, AWAY);
    const { status, body } = await api.patch(`/sources/${id}`, {
      connection: { name: "Elsewhere", credentials: { database: "other", password: "" } },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "updated",
      data: { id, name: "Elsewhere", connection_details: { hostname: "127.0.0.1", port: 1, user: "u" } },
    });
    expect(await urlOf(id)).toBe("postgres://u:s3cret-pw@127.0.0.1:1/other");
    await api.patch(`/sources/${id}`, { connection: { credentials: { password: 99 } } });
    expect(await urlOf(id)).toBe("postgres://u:99@127.0.0.1:1/other");
  });

  test("sends no stored password to another server", async () => {
    const id = await make({}, AWAY);
    for (const moved of [{ hostname: "db.example" }, { port: 2 }, { hostname: "db.example", password: "" }]) {
      const { status, body } = await api.patch(`/sources/${id}`, { connection: { credentials: moved } });
      expect(status).toBe(400);
      expect(body.errors[0].field).toBe("connection.credentials.password");
    }
    expect(await urlOf(id)).toBe("postgres://u:s3cret-pw@127.0.0.1:1/none");
    const whole = { hostname: "db.example", password: "new-pw" };
    expect((await api.patch(`/sources/${id}`, { connection: { credentials: whole } })).status).toBe(200);
    expect(await urlOf(id)).toBe("postgres://u:new-pw@db.example:1/none");
  });

  test("can move to the advanced engine, and its schema is then its own", async () => {
    const id = await make({}, AWAY);
    const connection = { sync_engine: "advanced", state_schema: "egret_own" };
    const { body } = await api.patch(`/sources/${id}`, { connection });
    expect(body.data).toMatchObject({
      sync_engine: "advanced",
      read_only_connection: false,
      connection_details: { state_schema: "egret_own" },
    });
    await api.patch(`/sources/${id}`, { connection: { label: "Moved" } });
    expect(await show(id)).toMatchObject({ sync_engine: "advanced", name: "Moved" });
    await api.patch(`/sources/${id}`, { connection: { sync_engine: "basic" } });
    expect(await show(id)).toMatchObject({ sync_engine: "basic", read_only_connection: true });
  });

  test("does not change its type", async () => {
    const id = await make({}, AWAY);
    const { status, body } = await api.patch(`/sources/${id}`, { connection: { type: "mysql" } });
    expect([status, body.errors[0].field]).toEqual([400, "connection.type"]);
  });

  test("is changed once when two send the same ETag", async () => {
    const id = await make({}, AWAY);
    const rename = (name: string) =>
      api.patch(`/sources/${id}`, { connection: { name } }, { "If-Match": '"v1"' });
    const answers = await Promise.all([rename("A"), rename("B")]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412]);
    const won = answers.find(({ status }) => status === 200)!;
    expect(won.headers.get("ETag")).toBe('"v2"');
    expect(await show(id)).toMatchObject({ name: won.body.data.name });
  });

  test("is deleted, and gone", async () => {
    const id = await make({}, AWAY);
    const { status, body } = await api.delete(`/sources/${id}`);
    expect([status, body]).toEqual([200, { status: "deleted" }]);
    for (const gone of [await api.get(`/sources/${id}`), await api.delete(`/sources/${id}`)]) {
      expect(gone.status).toBe(404);
      expect(gone.body).toMatchObject({ status: 404, message: "Not found" });
    }
  });

  test("that a file made is called by its name, and stays while something uses it", async () => {
    const yaml = `workspace: other
sources:
  embedded_demo: { type: postgres, url: "${egret.databaseUrl}" }
models:
  ones: { source: embedded_demo, query: "select 1 as id" }
`;
    const applied = await applyYaml(egret, yaml);
    const id = await applied.id("source", "embedded_demo");
    expect((await other.get(`/sources/${id}`)).body.data).toMatchObject({
      name: "embedded_demo",
      label: "embedded_demo",
    });
    const { status, body } = await other.delete(`/sources/${id}`);
    expect(status).toBe(409);
    expect(body.message).toContain("model ones");
  });
});

describe("a source of a file", () => {
  test("keeps its address letter by letter when only its name changes", async () => {
    const address = "postgresql://127.0.0.1:1/none?application_name=ours&sslmode=disable";
    const fourth = await testApi(egret, { workspaceName: "fourth" });
    const yaml = `workspace: fourth
sources:
  plain: { type: postgres, url: "${address}" }
`;
    const id = await (await applyYaml(egret, yaml)).id("source", "plain");
    for (const connection of [{ name: "Plain one" }, { credentials: {} }, { credentials: { port: "" } }]) {
      expect((await fourth.patch(`/sources/${id}`, { connection })).status).toBe(200);
    }
    expect(await urlOf(id)).toBe(address);
    expect((await fourth.get(`/sources/${id}`)).headers.get("ETag")).toBe('"v2"');
    await fourth.patch(`/sources/${id}`, { connection: { credentials: { user: "u", port: 2 } } });
    expect(await urlOf(id)).toBe("postgres://u@127.0.0.1:2/none?application_name=ours&sslmode=disable");
  });
});

describe("a source's test", () => {
  test("tells what happened, and is kept", async () => {
    const id = await make();
    const good = await api.post(`/sources/${id}/test`);
    expect(good.status).toBe(200);
    expect(good.body.data).toMatchObject({ id, success: true, last_test_succeeded: true });
    expect(await show(id)).toMatchObject({
      last_test_succeeded: true,
      last_tested_at: good.body.data.last_tested_at,
    });
    await api.patch(`/sources/${id}`, { connection: { credentials: { port: 1, password: "s3cret-pw" } } });
    const bad = await api.post(`/sources/${id}/test`);
    expect([bad.status, bad.body.data.success]).toEqual([200, false]);
    expect(bad.body.data.message).toContain("could not be reached");
    expect(JSON.stringify(bad.body)).not.toContain("s3cret");
    expect(await show(id)).toMatchObject({ last_test_succeeded: false });
  });
});

interface Listed {
  type: string;
  id: number;
  table_schema: string;
  table_name: string;
  table_catalog: string;
  columns: { name: string; type: string }[];
}

async function objects(id: number, query = "per_page=100"): Promise<Listed[]> {
  const { status, body } = await api.get(`/sources/${id}/objects?${query}`);
  expect(status).toBe(200);
  return body.data;
}
const ofShop = (all: Listed[]) =>
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
    const seen: Listed[] = [];
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
    const cursored: Listed[] = [];
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

describe("lists and other workspaces", () => {
  test("sources come page by page, the newest first", async () => {
    const third = await testApi(egret, { workspaceName: "third" });
    const ids: number[] = [];
    for (const name of ["a", "b", "c"]) {
      const body = { connection: { type: "postgres", name, credentials: AWAY } };
      ids.push((await third.post("/sources", body)).body.data.id);
    }
    const { body } = await third.get("/sources?per_page=2");
    expect(body.data.map(({ id }: { id: number }) => id)).toEqual([ids[2], ids[1]]);
    expect(body.pagination).toMatchObject({ total_records: 3, last_page: 2, next_page: 2, prev_page: null });
    expect(
      (await third.get("/sources?per_page=2&page=2")).body.data.map(({ id }: { id: number }) => id),
    ).toEqual([ids[0]]);
    expect(JSON.stringify(body)).not.toContain("s3cret");
  });

  test("nobody sees or touches the sources of another workspace", async () => {
    const id = await make();
    const table = (await objects(id))[0]!;
    const paths = [
      ["GET", `/sources/${id}`],
      ["PATCH", `/sources/${id}`],
      ["DELETE", `/sources/${id}`],
      ["POST", `/sources/${id}/test`],
      ["POST", `/sources/${id}/refresh_tables`],
      ["GET", `/sources/${id}/refresh_tables_status`],
      ["GET", `/sources/${id}/objects`],
      ["GET", `/sources/${id}/models`],
      ["POST", `/sources/${id}/models`],
      ["GET", `/sources/${id}/tables/${table.id}`],
      ["POST", `/sources/${id}/tables/${table.id}/refresh_columns`],
      ["GET", `/sources/${id}/tables/${table.id}/refresh_columns_status`],
    ] as const;
    for (const [method, path] of paths) {
      const body =
        method === "PATCH" ? { connection: { name: "x" } } : { name: "x", query: "select 1 as id" };
      const { status } = await other.request(method, path, method === "GET" ? undefined : body);
      expect([method, path, status]).toEqual([method, path, 404]);
    }
    expect(
      (await other.get("/sources?per_page=100")).body.data.some((each: { id: number }) => each.id === id),
    ).toBe(false);
    expect(await show(id)).toMatchObject({ name: "Warehouse" });
  });
});
