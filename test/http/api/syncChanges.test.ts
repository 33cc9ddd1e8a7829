/** Changing syncs over the API: what was only read and sent back changes nothing, and each change shows at once. */
import { beforeAll, describe, expect, test } from "vitest";
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

describe("PATCH /syncs/{id}", () => {
  test("changes nothing when it sends back what GET gave, for each kind of sync", async () => {
    const { ids } = scene;
    const parent = await scene.make({ label: "parent" });
    const bodies = [
      {},
      {
        label: null,
        operation: "append",
        historical_sync_operation: "skip_current_records",
        high_water_mark_attributes: { use_high_water_mark_diff_type: true, column_name: "seen_at" },
        mode: {
          type: "triggered",
          triggers: { sync_sequence: { sync_id: parent }, fivetran: { job_id: "1", job_name: "j" } },
        },
      },
      {
        operation: "mirror",
        send_full_record_on_delete: true,
        mirror_strategy: "sync_updates_and_deletes",
        advanced_configuration: { max_delete_percent: "10", colour: "red" },
        mode: {
          type: "triggered",
          triggers: {
            schedule: { frequency: "weekly", day: "tuesday", hour: 6 },
            dbt_cloud: { project_id: "7", job_id: "8" },
          },
        },
        alert_attributes: [
          {
            type: "RuntimeAlertConfiguration",
            send_for: "every_time",
            should_send_recovery: false,
            options: { threshold: "5", unit: "hours" },
          },
        ],
      },
      {
        field_behavior: "sync_all_properties",
        field_normalization: "snake_case",
        field_order: "source_column_order",
        mappings: [KEY],
        failed_record_notifications_threshold_percent: 10,
        failed_run_notifications_enabled: false,
        paused: true,
      },
      {
        source_attributes: {
          connection_id: ids.warehouse,
          object: { type: "table", table_schema: "public", table_name: "people" },
        },
        destination_attributes: { connection_id: ids.crm, object: "Contact", lead_union_insert_to: "Lead" },
        operation: "delete",
        mappings: [
          {
            from: { type: "column", data: "email" },
            to: "email",
            preserve_values: true,
            lookup_object: "User",
            lookup_field: "Email",
          },
          { from: { type: "constant_value", data: { value: "5", basic_type: "number" } }, to: "five" },
          { from: { type: "constant_value", data: { value: true, basic_type: "boolean" } }, to: "yes" },
          {
            from: { type: "constant_value", data: { value: "2026-02-03T00:00:00Z", basic_type: "datetime" } },
            to: "then",
          },
          { from: { type: "constant_value", data: { value: "t", basic_type: "text" } }, to: "t" },
          { ...KEY, to: "ExternalId", generate_field: true },
          {
            from: { type: "liquid_template", data: { liquid_template: "{{ record['name'] | upcase }}" } },
            to: "upper",
            field_type: "string",
          },
          { from: { type: "sync_metadata", data: "sync_run_id" }, to: "run" },
          {
            from: { type: "column", data: "plan" },
            to: "plan",
            sync_null_values: false,
            operation: "overwrite",
            array_field: true,
          },
        ],
      },
    ];
    for (const changes of bodies) {
      const id = await scene.make(changes);
      const before = await read(id);
      const { status, body } = await scene.api.patch(`/syncs/${id}`, before);
      expect([status, body.status]).toEqual([200, "updated"]);
      expect(body.data).toEqual(before);
      expect(await read(id)).toEqual(before);
    }
    const last = bodies.at(-1) as { mappings: object[] };
    const shown = await scene.api.get("/syncs?per_page=1");
    // Places, types and what the engine does not use come back as they were sent.
    const wanted = last.mappings.with(1, {
      to: "five",
      from: { data: { value: 5, basic_type: "number" } },
    });
    expect(shown.body.data[0].mappings).toMatchObject(wanted);
    expect(shown.body.data[0].mappings.map(({ position }: { position: number }) => position)).toEqual([
      ...wanted.keys(),
    ]);
  });

  test("merges at the top and replaces what is nested", async () => {
    const id = await scene.make({
      mode: {
        type: "triggered",
        triggers: { schedule: { frequency: "daily", hour: 6, minute: 30 }, dbt_cloud: { job_id: "8" } },
      },
      advanced_configuration: { a: 1, b: 2 },
      max_rejected_percent: 5,
    });
    const { body } = await scene.api.patch(`/syncs/${id}`, {
      mode: { type: "triggered", triggers: { schedule: { frequency: "hourly", minute: 5 } } },
      advanced_configuration: { b: 3 },
    });
    expect(body.data).toMatchObject({
      label: "People to ops",
      max_rejected_percent: 5,
      advanced_configuration: { b: 3 },
      schedule_frequency: "hourly",
      schedule_hour: null,
      schedule_minute: 5,
    });
    expect(body.data.mode).toEqual({
      type: "triggered",
      triggers: { schedule: { frequency: "hourly", minute: 5 } },
    });
    expect(body.data.advanced_configuration).toEqual({ b: 3 });
    // The flat fields are of the top: one of them leaves the others.
    const flat = await scene.api.patch(`/syncs/${id}`, { schedule_frequency: "daily" });
    expect(flat.body.data.mode.triggers.schedule).toEqual({ frequency: "daily", hour: 0, minute: 5 });
    const day = await scene.api.patch(`/syncs/${id}`, { schedule_frequency: "weekly", schedule_day: 2 });
    expect(day.body.data.mode.triggers.schedule).toMatchObject({ frequency: "weekly", day: "Tuesday" });
    expect(day.body.data.schedule_day).toBe(null);
  });

  test("takes the flat field_mappings of Terraform, and names their faults", async () => {
    const id = await scene.make();
    const field_mappings = [
      { from: "plan", to: "plan", operation: "direct", position: 0 },
      { from: "", to: "fixed", operation: "constant", constant: "trial" },
      {
        from: "",
        to: "mail",
        operation: "liquid_template",
        liquid_template: "{{ record['email'] | downcase }}",
      },
      { from: "", to: "run", operation: "sync_metadata", sync_metadata_key: "sync_run_id" },
      {
        from: "id",
        to: "unique_id",
        operation: "direct",
        is_primary_identifier: true,
        sync_null_values: true,
      },
    ];
    const { status, body } = await scene.api.patch(`/syncs/${id}`, {
      field_mappings,
      alert_attributes: null,
    });
    expect(status).toBe(200);
    expect(body.data.mappings).toMatchObject([
      { from: { type: "column", data: "plan" }, to: "plan" },
      { from: { type: "constant_value", data: { value: "trial", basic_type: "text" } }, to: "fixed" },
      {
        from: { type: "liquid_template", data: { liquid_template: "{{ record['email'] | downcase }}" } },
        to: "mail",
      },
      { from: { type: "sync_metadata", data: "sync_run_id" }, to: "run" },
      { from: { type: "column", data: "id" }, to: "unique_id", is_primary_identifier: true },
    ]);
    expect(body.data.alert_attributes).toHaveLength(2);
    const bad = await scene.api.patch(`/syncs/${id}`, {
      field_mappings: [field_mappings[4], { from: "nope", to: "a", operation: "direct" }],
    });
    expect([bad.status, bad.body.errors]).toMatchObject([400, [{ field: "field_mappings[1].from" }]]);
  });

  test("pauses and resumes with the whole sync as its answer, also one that was paused by hand", async () => {
    const id = await scene.make({ schedule_frequency: "daily" });
    const paused = await scene.api.patch(`/syncs/${id}`, { paused: true });
    expect([paused.status, paused.body.status]).toEqual([200, "updated"]);
    expect(paused.body.data).toMatchObject({ id, paused: true, next_run_at: null });
    const resumed = await scene.api.patch(`/syncs/${id}`, { paused: false });
    expect(resumed.body.data).toMatchObject({ paused: false, next_run_at: TIME });
    const { setPaused } = await import("../../../src/configuration/operations.ts");
    const { db } = scene.egret.services.database;
    await setPaused({ db, box: scene.egret.services.box, kind: "sync", id, actor: "test" }, true);
    expect((await read(id)).paused).toBe(true);
    expect((await scene.api.patch(`/syncs/${id}`, { paused: false })).body.data.paused).toBe(false);
  });

  test("keeps ids of alerts that stay, and takes the older switches", async () => {
    const id = await scene.make();
    const before = (await read(id)).alert_attributes;
    const off = await scene.api.patch(`/syncs/${id}`, { failed_run_notifications_enabled: false });
    expect(off.body.data.alert_attributes).toEqual([before[1]]);
    const strict = await scene.api.patch(`/syncs/${id}`, {
      failed_record_notifications_threshold_percent: "5",
    });
    expect(strict.body.data).toMatchObject({
      failed_run_notifications_enabled: false,
      failed_record_notifications_threshold_percent: 5,
    });
    const both = await scene.api.patch(`/syncs/${id}`, {
      alert_attributes: [{ type: "FullSyncTriggerAlertConfiguration", options: {} }],
      failed_run_notifications_enabled: true,
    });
    expect(both.body.data.alert_attributes).toMatchObject([
      { type: "FullSyncTriggerAlertConfiguration", options: null },
    ]);
    expect(
      (await scene.api.patch(`/syncs/${id}`, { alert_attributes: [] })).body.data.alert_attributes,
    ).toEqual([]);
  });

  test("does not let a sync that deletes turn to something else", async () => {
    const { ids } = scene;
    const id = await scene.make({
      operation: "delete",
      destination_attributes: { connection_id: ids.crm, object: "Contact" },
      mappings: [KEY],
    });
    const before = await read(id);
    for (const [field, change] of [
      ["operation", { operation: "upsert" }],
      ["destination_attributes", { destination_attributes: { connection_id: ids.ops, object: "webhook" } }],
      [
        "source_attributes",
        {
          source_attributes: {
            connection_id: ids.warehouse,
            object: { type: "table", name: "public.people" },
          },
        },
      ],
    ] as const) {
      const { status, body } = await scene.api.patch(`/syncs/${id}`, change);
      expect([status, body.errors[0].field]).toEqual([400, field]);
    }
    expect(await read(id)).toEqual(before);
    expect((await scene.api.patch(`/syncs/${id}`, { label: "Gone ones" })).status).toBe(200);
  });

  test("refuses circles of sequences", async () => {
    const after = (sync_id: number) => ({
      mode: { type: "triggered", triggers: { sync_sequence: { sync_id } } },
    });
    const first = await scene.make({ label: "first" });
    const second = await scene.make({ label: "second", ...after(first) });
    const { status, body } = await scene.api.patch(`/syncs/${first}`, after(second));
    expect([status, body.errors[0].field]).toEqual([400, "mode.triggers.sync_sequence.sync_id"]);
    const self = await scene.api.patch(`/syncs/${first}`, after(first));
    expect(self.body.errors[0].field).toBe("mode.triggers.sync_sequence.sync_id");
    expect((await read(second)).mode.triggers.sync_sequence).toEqual({ sync_id: first });
  });

  test("holds to the version that If-Match names", async () => {
    const id = await scene.make();
    const { headers } = await scene.api.get(`/syncs/${id}`);
    const tag = headers.get("ETag") ?? "";
    const first = await scene.api.patch(`/syncs/${id}`, { label: "one" }, { "If-Match": tag });
    expect([first.status, first.headers.get("ETag")]).toEqual([200, '"v2"']);
    const late = await scene.api.patch(`/syncs/${id}`, { label: "two" }, { "If-Match": tag });
    expect(late.status).toBe(412);
    expect((await read(id)).label).toBe("one");
  });

  test("shows each change to the one who made it, with many at once", async () => {
    const made = await Promise.all(Array.from({ length: 6 }, (_, n) => scene.make({ label: `many ${n}` })));
    await Promise.all(
      made.map(async (id, n) => {
        for (let turn = 0; turn < 5; turn++) {
          const label = `sync ${n} turn ${turn}`;
          const advanced_configuration = { turn };
          const { body } = await scene.api.patch(`/syncs/${id}`, { label, advanced_configuration });
          expect(body.data).toMatchObject({ label, advanced_configuration });
          expect(await read(id)).toMatchObject({ label, advanced_configuration });
        }
      }),
    );
    const [id = 0] = made;
    await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        scene.api.patch(`/syncs/${id}`, n % 2 === 0 ? { label: `l${n}` } : { paused: n % 4 === 1 }),
      ),
    );
    expect((await read(id)).label).toMatch(/^l[0246]$/);
  });
});
