import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml, type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;
let source = 0;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
  await egret.services.database.pool.query("create table public.orders (id bigint, city text, flag boolean)");
  source = await makeSource("Warehouse");
});

async function makeSource(name: string): Promise<number> {
  const connection = { type: "postgres", name, credentials: { url: egret.databaseUrl } };
  return (await api.post("/sources", { connection })).body.data.id;
}

async function make(fields: Record<string, unknown> = {}, under = source): Promise<number> {
  const body = { name: "Orders", query: "select id, city from orders;", ...fields };
  const { status, body: answer } = await api.post(`/sources/${under}/models`, body);
  expect([status, answer]).toEqual([201, { status: "created", data: { id: expect.any(Number) } }]);
  return answer.data.id;
}
const pathOf = (id: number) => `/sources/${source}/models/${id}`;

describe("a model", () => {
  test("is made with the columns that its source names, and read back", async () => {
    const id = await make({ description: "all of them" });
    const { status, body, headers } = await api.get(pathOf(id));
    expect([status, headers.get("ETag")]).toEqual([200, '"v1"']);
    expect(body).toEqual({
      status: "success",
      data: {
        type: "model",
        id,
        source_object_id: id,
        source_id: source,
        name: "Orders",
        description: "all of them",
        query: "select id, city from orders;",
        compiled_query: null,
        columns: [
          { name: "id", type: "bigint" },
          { name: "city", type: "text" },
        ],
        created_at: expect.stringMatching(/\.\d{3}Z$/),
        updated_at: expect.stringMatching(/\.\d{3}Z$/),
      },
    });
  });

  test.each([
    ["no query", { query: "" }, "query"],
    ["a query that is none", { query: "selct 1" }, "query"],
    ["two statements", { query: "select 1; drop table orders" }, "query"],
    ["a table that is not there", { query: "select id from ordres" }, "query"],
    ["two columns of one name", { query: "select id, id from orders" }, "query"],
    ["no name", { name: "" }, "name"],
    ["a description that is no text", { description: 7 }, "description"],
  ])("is refused with %s", async (_, fields, field) => {
    const before = (await api.get("/models")).body.pagination.total_records;
    const body = { name: "Bad", query: "select 1 as id", ...fields };
    const { status, body: answer } = await api.post(`/sources/${source}/models`, body);
    expect(status).toBe(400);
    expect(answer.errors.map((each: { field: string }) => each.field)).toEqual([field]);
    expect((await api.get("/models")).body.pagination.total_records).toBe(before);
  });

  test("needs a source that answers", async () => {
    const away = { url: "postgres://u:s3cret-pw@127.0.0.1:1/none" };
    const connection = { type: "postgres", name: "Away", credentials: away };
    const { body } = await api.post("/sources", { connection });
    const { status, body: answer } = await api.post(`/sources/${body.data.id}/models`, {
      name: "m",
      query: "select 1 as id",
    });
    expect([status, answer.errors[0].field]).toEqual([400, "source_id"]);
    expect(answer.message).toContain("could not be reached");
    expect(JSON.stringify(answer)).not.toContain("s3cret");
  });

  test("is changed field by field, its columns with its query", async () => {
    const id = await make({ description: "old" });
    const renamed = await api.patch(pathOf(id), { name: "Every order" });
    expect([renamed.status, renamed.body]).toMatchObject([
      200,
      { status: "updated", data: { name: "Every order", description: "old", columns: [{}, {}] } },
    ]);
    const other = await api.patch(pathOf(id), { query: "select flag from orders", description: null });
    expect(other.body.data).toMatchObject({
      name: "Every order",
      description: null,
      columns: [{ name: "flag", type: "boolean" }],
    });
    const bad = await api.patch(pathOf(id), { name: "No", query: "select nothing from orders" });
    expect(bad.status).toBe(400);
    expect((await api.get(pathOf(id))).body.data).toEqual(other.body.data);
  });

  test("is changed once when two send the same ETag", async () => {
    const id = await make();
    const rename = (name: string) => api.patch(pathOf(id), { name }, { "If-Match": '"v1"' });
    const answers = await Promise.all([rename("A"), rename("B"), rename("C")]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412]);
  });

  test("gets its columns anew by a refresh, and keeps them when its source is away", async () => {
    const under = await makeSource("Moving");
    await egret.services.database.pool.query("create table public.growing (id int)");
    const mid = await make({ query: "select * from growing" }, under);
    await egret.services.database.pool.query("alter table public.growing add more text");
    const path = `/sources/${under}/models/${mid}`;
    expect((await api.get(`${path}/refresh_columns_status`)).status).toBe(404);
    const refresh = await api.post(`${path}/refresh_columns`);
    expect([refresh.status, refresh.body]).toEqual([200, { refresh_key: expect.any(Number) }]);
    const status = await api.get(`${path}/refresh_columns_status?refresh_key=${refresh.body.refresh_key}`);
    expect(status.body).toEqual({ status: "completed", succeeded: true, message: null });
    const { columns } = (await api.get(path)).body.data;
    expect(columns).toHaveLength(2);
    await api.patch(`/sources/${under}`, { connection: { credentials: { port: 1, password: "x" } } });
    const again = await api.post(`${path}/refresh_columns`);
    const failed = await api.get(`${path}/refresh_columns_status?refresh_key=${again.body.refresh_key}`);
    expect(failed.body).toMatchObject({ status: "completed", succeeded: false });
    const list = await api.get(`/sources/${under}/models`);
    expect(list.body.data[0].columns).toEqual(columns);
    const renamed = await api.patch(path, { name: "Still here" });
    expect(renamed.status).toBe(200);
  });

  test("is deleted, unless a sync uses it, which is named", async () => {
    const id = await make();
    expect((await api.delete(pathOf(id))).body).toEqual({ status: "deleted" });
    expect((await api.get(pathOf(id))).status).toBe(404);
    const applied = await applyYaml(
      egret,
      `workspace: other
sources:
  db: { type: postgres, url: "${egret.databaseUrl}" }
models:
  used: { source: db, query: "select id from orders" }
destinations:
  hook: { type: webhook, url: "http://127.0.0.1:4999/in" }
syncs:
  user: { model: used, destination: hook, key: id }
`,
    );
    const other = await testApi(egret, { workspaceName: "other" });
    const path = `/sources/${await applied.id("source", "db")}/models/${await applied.id("model", "used")}`;
    const refused = await other.delete(path);
    expect(refused.status).toBe(409);
    expect(refused.body.message).toContain("sync user");
    // Of a model that a file made, apply kept the columns.
    expect((await other.get(path)).body.data).toMatchObject({ name: "used", columns: [{ name: "id" }] });
  });
});

describe("lists of models", () => {
  test("are of one source or of all, page by page", async () => {
    const under = await makeSource("Lists");
    const ids = [];
    for (const name of ["a", "b", "c"]) ids.push(await make({ name }, under));
    const list = (await api.get(`/sources/${under}/models?per_page=2&order=asc`)).body;
    expect(list.data.map(({ id }: { id: number }) => id)).toEqual(ids.slice(0, 2));
    expect(list.pagination).toMatchObject({ total_records: 3, last_page: 2, next_page: 2 });
    expect(list.next).toContain("page=2");
    const all = (await api.get("/models?per_page=3")).body;
    expect(all.data.map(({ id }: { id: number }) => id)).toEqual(ids.toReversed());
    expect(all.pagination.total_records).toBeGreaterThanOrEqual(3);
  });

  test("and models of another workspace or source are not found", async () => {
    const id = await make();
    const elsewhere = await makeSource("Elsewhere");
    const stranger = await testApi(egret, { workspaceName: "stranger" });
    expect((await api.get(`/sources/${elsewhere}/models/${id}`)).status).toBe(404);
    for (const method of ["GET", "PATCH", "DELETE"]) {
      const body = method === "GET" ? undefined : {};
      expect((await stranger.request(method, pathOf(id), body)).status).toBe(404);
      expect((await stranger.request(method, `/datasets/${id}`, body)).status).toBe(404);
    }
    expect((await stranger.post(`${pathOf(id)}/refresh_columns`)).status).toBe(404);
    expect((await stranger.get(`${pathOf(id)}/refresh_columns_status`)).status).toBe(404);
    expect((await stranger.get("/models")).body.data).toEqual([]);
    expect((await api.get(pathOf(id))).status).toBe(200);
  });
});
