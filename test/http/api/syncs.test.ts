/** Syncs over the API: made, read, listed, changed and deleted, with the bodies that clients send. */
import { beforeAll, describe, expect, test } from "vitest";
import { askApi, testApi } from "../../support/api.ts";
import { applyYaml } from "../../support/egret.ts";
import { KEY, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
beforeAll(async () => {
  scene = await openSyncScene({ roles: ["api", "projector", "scheduler"] });
});

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const read = async (id: number) => {
  const { status, body } = await scene.api.get(`/syncs/${id}`);
  expect([status, body.status]).toEqual([200, "success"]);
  return body.data;
};

describe("POST /syncs", () => {
  test("makes the sync that GET shows at once, in the form that clients decode", async () => {
    const { ids } = scene;
    const id = await scene.make();
    const { body, headers } = await scene.api.get(`/syncs/${id}`);
    expect(headers.get("ETag")).toBe('"v1"');
    const extras = {
      sync_null_values: true,
      operation: null,
      preserve_values: false,
      generate_field: false,
      array_field: false,
      follow_source_type: false,
      lookup_object: null,
      lookup_field: null,
    };
    expect(body.data).toEqual({
      id,
      label: "People to ops",
      resource_identifier: "people_to_ops",
      status: "Ready",
      operation: "upsert",
      paused: false,
      source_attributes: {
        connection_id: ids.warehouse,
        object: {
          type: "model",
          id: ids.people,
          name: "people",
          query: "select id, name, email, plan, seen_at from people",
          created_at: TIME,
          updated_at: TIME,
        },
      },
      destination_attributes: { connection_id: ids.ops, object: "webhook" },
      mappings: [
        { ...KEY, ...extras, position: 0 },
        {
          from: { type: "column", data: "name" },
          to: "name",
          is_primary_identifier: false,
          ...extras,
          position: 1,
        },
      ],
      mode: { type: "triggered", triggers: {} },
      schedule_frequency: "never",
      schedule_day: null,
      schedule_hour: null,
      schedule_minute: null,
      cron_expression: null,
      alert_attributes: [
        {
          id: expect.any(Number),
          type: "FailureAlertConfiguration",
          send_for: "first_time",
          should_send_recovery: true,
          options: null,
        },
        {
          id: expect.any(Number),
          type: "InvalidRecordPercentAlertConfiguration",
          send_for: "first_time",
          should_send_recovery: true,
          options: { threshold: 75 },
        },
      ],
      failed_run_notifications_enabled: true,
      failed_record_notifications_enabled: true,
      failed_record_notifications_threshold_percent: 75,
      field_behavior: "specific_properties",
      field_normalization: null,
      field_order: "alphabetical_column_name",
      mirror_strategy: null,
      historical_sync_operation: null,
      high_water_mark_attribute: null,
      sync_behavior_family: null,
      advanced_configuration: null,
      overlap_policy: "skip",
      timestamp_format: "space_separated",
      send_full_record_on_delete: false,
      split_rejected_batches: null,
      max_delete_percent: null,
      max_rejected_percent: null,
      managed_by: "api",
      last_run_id: null,
      last_run_at: null,
      next_run_at: null,
      created_at: TIME,
      updated_at: TIME,
    });
    // Terraform wants a text here: left out.
    expect(body.data).not.toHaveProperty("workspace_id");
  });

  test("answers 201 where the installation says so, as Slates asks", async () => {
    const { settings } = scene.egret;
    const { startEgret } = await import("../../../src/main.ts");
    const second = await startEgret({
      ...settings,
      roles: ["api"],
      http: { host: "127.0.0.1", port: 0 },
      apiSyncCreatedStatus: 201,
    });
    try {
      const body = scene.body({
        source_attributes: { object: { type: "model", id: scene.ids.people, name: "people" } },
      });
      const answer = await askApi(second.url, scene.api.token, { method: "POST", path: "/syncs", body });
      expect(answer.status).toBe(201);
      expect(answer.body).toEqual({ status: "created", data: { sync_id: expect.any(Number) } });
    } finally {
      await second.close();
    }
  });

  test("only checks with validate_only", async () => {
    const before = await scene.api.get("/syncs?per_page=1");
    const fine = await scene.api.post("/syncs", scene.body({ validate_only: true }));
    expect([fine.status, fine.body]).toEqual([200, { status: "success", data: { valid: true } }]);
    const bad = await scene.api.post("/syncs", scene.body({ validate_only: true, operation: "update" }));
    expect([bad.status, bad.body.errors[0].field]).toEqual([400, "operation"]);
    const after = await scene.api.get("/syncs?per_page=1");
    expect(after.body.pagination.total_records).toBe(before.body.pagination.total_records);
  });

  test("takes what the embedded demo sends: no label, the model by name, the key alone, flat schedule", async () => {
    const { ids } = scene;
    const { status, body } = await scene.api.post("/syncs", {
      operation: "update",
      schedule_frequency: "daily",
      schedule_hour: 0,
      schedule_minute: 0,
      source_attributes: { connection_id: ids.warehouse, object: { name: "people", type: "model" } },
      destination_attributes: { connection_id: ids.crm, object: "Account" },
      mappings: [{ from: { data: "name", type: "column" }, is_primary_identifier: true, to: "Name" }],
    });
    expect([status, body.status]).toEqual([200, "created"]);
    const sync = await read(body.data.sync_id);
    expect(sync).toMatchObject({
      label: null,
      operation: "update",
      destination_attributes: { connection_id: ids.crm, object: "Account" },
      mappings: [{ from: { type: "column", data: "name" }, to: "Name", is_primary_identifier: true }],
      schedule_frequency: "daily",
      schedule_hour: 0,
      schedule_minute: 0,
      mode: {
        type: "triggered",
        triggers: { schedule: { frequency: "daily", hour: 0, minute: 0 } },
      },
      next_run_at: expect.stringMatching(/T00:00:00\.000Z$/),
    });
    const patched = await scene.api.patch(`/syncs/${body.data.sync_id}`, { operation: "insert" });
    // The key stays alone, though other things changed.
    expect(patched.body.data.mappings).toHaveLength(1);
  });

  test("takes ids as texts, unknown keys, empty triggers and a cron expression alone, as a script sends them", async () => {
    const { ids } = scene;
    const id = await scene.make({
      source_attributes: {
        connection_id: String(ids.warehouse),
        object: { type: "dataset", id: String(ids.people), extra: 1 },
      },
      destination_attributes: { connection_id: String(ids.ops), object: "webhook" },
      type: "sync",
      cron_expression: "15 4 * * *",
      triggers: { dbt_cloud: {}, fivetran: {}, sync_sequence: {} },
    });
    expect(await read(id)).toMatchObject({
      schedule_frequency: "expression",
      cron_expression: "15 4 * * *",
      source_attributes: { connection_id: ids.warehouse, object: { type: "dataset", id: ids.people } },
      mode: {
        triggers: {
          schedule: { frequency: "expression", cron_expression: "15 4 * * *" },
          dbt_cloud: {},
          fivetran: {},
        },
      },
    });
  });

  test("reads a table by its parts, by its name, or by the id that it is shown with", async () => {
    const { ids } = scene;
    const byParts = await read(
      await scene.make({
        source_attributes: {
          connection_id: ids.warehouse,
          object: { type: "table", table_schema: "public", table_name: "people" },
        },
      }),
    );
    const { object } = byParts.source_attributes;
    expect(object).toEqual({
      type: "table",
      id: expect.any(Number),
      name: "people",
      table_catalog: expect.any(String),
      table_schema: "public",
      table_name: "people",
    });
    for (const wanted of [
      { type: "table", id: object.id },
      { type: "table", id: String(object.id) },
      { type: "table", name: "public.people" },
      object,
    ]) {
      const id = await scene.make({ source_attributes: { connection_id: ids.warehouse, object: wanted } });
      expect((await read(id)).source_attributes).toEqual(byParts.source_attributes);
    }
  });

  test("does not see another workspace's objects", async () => {
    const other = await testApi(scene.egret, { workspaceName: "elsewhere" });
    const { status, body } = await other.post("/syncs", scene.body());
    expect(status).toBe(400);
    expect(body.errors.map((problem: { field: string }) => problem.field)).toEqual([
      "source_attributes.connection_id",
      "destination_attributes.connection_id",
    ]);
    const id = await scene.make();
    for (const answer of [
      await other.get(`/syncs/${id}`),
      await other.patch(`/syncs/${id}`, { label: "mine" }),
      await other.delete(`/syncs/${id}`),
      await other.get(`/syncs/${id}/sync_runs`),
    ]) {
      expect([answer.status, answer.body.status, answer.body.message]).toEqual([404, 404, "Not found"]);
    }
    expect((await other.get("/syncs")).body.pagination.total_records).toBe(0);
  });
});

describe("GET /syncs", () => {
  test("lists by pages and cursors in both orders, newest first", async () => {
    const made = [await scene.make(), await scene.make(), await scene.make()];
    const first = await scene.api.get("/syncs?page=1&per_page=1");
    expect([first.status, first.body.status]).toEqual([200, "success"]);
    const total = first.body.pagination.total_records;
    expect(first.body.data.map(({ id }: { id: number }) => id)).toEqual([made[2]]);
    expect(first.body.pagination).toEqual({
      total_records: total,
      per_page: 1,
      prev_page: null,
      page: 1,
      next_page: 2,
      last_page: total,
      next_cursor: String(made[2]),
    });
    expect(first.body.next).toMatch(/\/api\/v1\/syncs\?page=2&per_page=1$/);
    const next = await scene.api.get("/syncs?per_page=2&cursor=" + made[2]);
    expect(next.body.data.map(({ id }: { id: number }) => id)).toEqual([made[1], made[0]]);
    const all: number[] = [];
    for (let page = 1; page <= total; page++) {
      const { body } = await scene.api.get(`/syncs?order=asc&per_page=1&page=${page}`);
      all.push(...body.data.map(({ id }: { id: number }) => id));
      expect(body.pagination.next_page).toBe(page === total ? null : page + 1);
    }
    expect(all).toEqual([...all].sort((a, b) => a - b));
    expect(new Set(all).size).toBe(total);
    // A list shows what the single sync shows.
    expect(next.body.data[0]).toEqual(await read(made[1] as number));
  });
});

describe("DELETE /syncs/{id}", () => {
  test("deletes once, answering as the clients ask", async () => {
    const id = await scene.make();
    const { status, body } = await scene.api.request("DELETE", `/syncs/${id}`, "", {
      "Content-Type": "application/json",
    });
    expect([status, body]).toEqual([200, { status: "deleted" }]);
    for (const method of ["GET", "DELETE"]) {
      const gone = await scene.api.request(method, `/syncs/${id}`);
      expect([gone.status, gone.body]).toEqual([404, { status: 404, message: "Not found", code: 404 }]);
    }
    expect((await scene.api.get("/syncs/abc")).status).toBe(404);
  });

  test("of one that others run after ends that", async () => {
    const parent = await scene.make({ label: "parent" });
    const child = await scene.make({
      label: "child",
      mode: { type: "triggered", triggers: { sync_sequence: { sync_id: parent } } },
    });
    expect((await scene.api.delete(`/syncs/${parent}`)).status).toBe(200);
    expect((await read(child)).mode.triggers).toEqual({});
  });
});

test("a file that is applied again leaves the API's syncs alone", async () => {
  const id = await scene.make({ label: "Mine" });
  const before = await read(id);
  const { url } = scene.receiver;
  const file = (name: string) => `
workspace: elsewhere_file
destinations:
  ${name}: { type: webhook, url: "${url}/x" }
`;
  await applyYaml(scene.egret, file("a"));
  expect(await read(id)).toEqual(before);
});
