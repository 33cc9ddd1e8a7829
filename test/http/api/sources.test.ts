/** Sources over the API: making, changing, testing and deleting them. */
import { beforeAll, describe, expect, test } from "vitest";
import { readSource } from "../../../src/configuration/store.ts";
import { postgresSource } from "../../../src/sources/postgres.ts";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, type TestEgret } from "../../support/egret.ts";
import { AWAY, openSourceScene, type SourceScene } from "./sourceScene.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;
let credentials: SourceScene["credentials"];
let make: SourceScene["make"];
let objects: SourceScene["objects"];

beforeAll(async () => {
  ({ egret, api, other, credentials, make, objects } = await openSourceScene());
});

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
