import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;
let source = 0;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
  await egret.services.database.pool.query("create table public.orders (id bigint, total double precision)");
  const connection = { type: "postgres", name: "Warehouse", credentials: { url: egret.databaseUrl } };
  source = (await api.post("/sources", { connection })).body.data.id;
});

async function make(fields: Record<string, unknown> = {}): Promise<number> {
  const body = {
    name: "Big orders",
    type: "sql",
    query: "select id, total from orders",
    source_id: source,
    ...fields,
  };
  const { status, body: answer } = await api.post("/datasets", body);
  expect([status, answer]).toEqual([201, { status: "created", data: { id: expect.any(Number) } }]);
  return answer.data.id;
}

describe("a dataset", () => {
  test("is made, and read back whole", async () => {
    const id = await make({ description: "over 100" });
    const { status, body, headers } = await api.get(`/datasets/${id}`);
    expect([status, headers.get("ETag")]).toEqual([200, '"v1"']);
    expect(body).toEqual({
      status: "success",
      data: {
        id,
        name: "Big orders",
        type: "sql",
        description: "over 100",
        query: "select id, total from orders",
        source_id: source,
        resource_identifier: "big_orders",
        cached_record_count: null,
        columns: [
          { name: "id", data_type: "bigint", can_be_upsert_key: true },
          { name: "total", data_type: "double precision", can_be_upsert_key: false },
        ],
        created_at: expect.stringMatching(/\.\d{3}Z$/),
        updated_at: expect.stringMatching(/\.\d{3}Z$/),
      },
    });
    expect((await api.get(`/sources/${source}/models/${id}`)).body.data).toMatchObject({
      description: "over 100",
    });
  });

  test("takes its source's id as a text, null for no description, and keys that are not known", async () => {
    const id = await make({ source_id: String(source), description: null, colour: "red" });
    expect((await api.get(`/datasets/${id}`)).body.data).toMatchObject({
      description: null,
      source_id: source,
    });
  });

  test.each([
    ["another type", { type: "table" }, "type"],
    ["an unknown source", { source_id: 999_999 }, "source_id"],
    ["a source that is no id", { source_id: "x" }, "source_id"],
    ["no query", { query: undefined }, "query"],
    ["a query that changes things", { query: "delete from orders" }, "query"],
  ])("is refused with %s", async (_, fields, field) => {
    const body = { name: "Bad", type: "sql", query: "select 1 as id", source_id: source, ...fields };
    const { status, body: answer } = await api.post("/datasets", body);
    expect([status, answer.errors[0].field]).toEqual([400, field]);
  });

  test("is changed by what is sent alone", async () => {
    const id = await make({ description: "old" });
    const { status, body } = await api.patch(`/datasets/${id}`, { query: "select id from orders" });
    expect([status, body]).toMatchObject([
      200,
      { status: "updated", data: { id, name: "Big orders", description: "old", columns: [{ name: "id" }] } },
    ]);
    expect((await api.patch(`/datasets/${id}`, { source_id: source })).status).toBe(200);
    expect((await api.patch(`/datasets/${id}`, { source_id: source + 1 })).status).toBe(400);
    expect((await api.patch(`/datasets/${id}`, { name: "x" }, { "If-Match": '"v1"' })).status).toBe(412);
  });

  test("is deleted with the word for it", async () => {
    const id = await make();
    const { status, body } = await api.delete(`/datasets/${id}`);
    expect([status, body]).toEqual([200, { status: "deleted" }]);
    const gone = await api.get(`/datasets/${id}`);
    expect([gone.status, gone.body.status]).toEqual([404, 404]);
  });
});

describe("the list of datasets", () => {
  test("is paged, and of type sql", async () => {
    await make();
    const { body } = await api.get("/datasets?page=1&per_page=1&order=desc");
    expect(body.data).toHaveLength(1);
    expect(body.pagination.total_records).toBeGreaterThan(0);
    expect((await api.get("/datasets?type=sql")).body.pagination).toMatchObject({
      total_records: body.pagination.total_records,
    });
    expect((await api.get("/datasets?type=entity")).body).toMatchObject({
      data: [],
      pagination: { total_records: 0, last_page: 1, next_page: null },
      next: null,
    });
  });

  test("shows what was written a moment ago", async () => {
    const id = await make({ name: "Fresh" });
    expect((await api.get("/datasets?per_page=1")).body.data[0]).toMatchObject({ id, name: "Fresh" });
    await api.patch(`/datasets/${id}`, { name: "Fresher" });
    expect((await api.get(`/datasets/${id}`)).body.data).toMatchObject({ name: "Fresher" });
  });
});
