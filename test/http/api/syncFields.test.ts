/** What is wrong with a sync is told by the name that its client gave the field. */
import { beforeAll, describe, expect, test } from "vitest";
import { KEY, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
beforeAll(async () => {
  scene = await openSyncScene({ roles: ["api", "projector", "scheduler"] });
});

describe("POST /syncs", () => {
  test.each([
    [
      "an unknown source",
      { source_attributes: { connection_id: 999, object: { type: "model", id: 1 } } },
      "source_attributes.connection_id",
    ],
    [
      "an unknown model",
      { source_attributes: { object: { type: "model", id: 999 } } },
      "source_attributes.object.id",
    ],
    [
      "a model by no name",
      { source_attributes: { object: { type: "model", name: "nobody" } } },
      "source_attributes.object.name",
    ],
    ["no object", { source_attributes: { connection_id: 1 } }, "source_attributes.object"],
    [
      "a segment",
      { source_attributes: { object: { type: "dataset", id: 1 }, filter_segment_id: "4" } },
      "source_attributes.filter_segment_id",
    ],
    [
      "an unknown kind",
      { source_attributes: { object: { type: "topic", id: 1 } } },
      "source_attributes.object.type",
    ],
    [
      "an unknown destination",
      { destination_attributes: { connection_id: 999 } },
      "destination_attributes.connection_id",
    ],
    ["no destination", { destination_attributes: {} }, "destination_attributes.connection_id"],
    ["an operation that the destination cannot", { operation: "update" }, "operation"],
    ["an operation that there is not", { operation: "explode" }, "operation"],
    ["no key", { mappings: [{ from: { type: "column", data: "name" }, to: "name" }] }, "mappings"],
    ["two keys", { mappings: [KEY, { ...KEY, to: "b" }] }, "mappings[1].is_primary_identifier"],
    [
      "a key that is no column",
      { mappings: [{ ...KEY, from: { type: "constant_value", data: { value: 1 } } }] },
      "mappings[0].from.type",
    ],
    [
      "a column that is not there",
      { mappings: [{ from: { type: "column", data: "nme" }, to: "a" }, KEY] },
      "mappings[0].from.data",
    ],
    [
      "a key column that is not there",
      {
        mappings: [
          { from: { type: "column", data: "name" }, to: "a" },
          { ...KEY, from: { type: "column", data: "idd" } },
        ],
      },
      "mappings[1].from.data",
    ],
    [
      "a field twice",
      {
        mappings: [
          KEY,
          { from: { type: "column", data: "name" }, to: "a" },
          { from: { type: "column", data: "plan" }, to: "a" },
        ],
      },
      "mappings[2].to",
    ],
    [
      "a template that does not parse",
      {
        mappings: [
          KEY,
          { from: { type: "liquid_template", data: { liquid_template: "{{ record['x' }}" } }, to: "a" },
        ],
      },
      "mappings[1].from.data.liquid_template",
    ],
    [
      "a template over an unknown column",
      {
        mappings: [
          KEY,
          { from: { type: "liquid_template", data: { liquid_template: "{{ record['nope'] }}" } }, to: "a" },
        ],
      },
      "mappings[1].from.data.liquid_template",
    ],
    [
      "a constant of another type",
      {
        mappings: [
          KEY,
          { from: { type: "constant_value", data: { value: "x", basic_type: "number" } }, to: "a" },
        ],
      },
      "mappings[1].from.data.value",
    ],
    [
      "unknown metadata",
      { mappings: [KEY, { from: { type: "sync_metadata", data: "moon" }, to: "a" }] },
      "mappings[1].from.data",
    ],
    [
      "segments in a mapping",
      { mappings: [KEY, { from: { type: "segment_membership", data: { identify_by: "name" } }, to: "a" }] },
      "mappings[1].from.type",
    ],
    [
      "merged arrays",
      { mappings: [KEY, { from: { type: "column", data: "name" }, to: "a", operation: "merge" }] },
      "mappings[1].operation",
    ],
    [
      "a cron expression that is none",
      {
        mode: {
          type: "triggered",
          triggers: { schedule: { frequency: "expression", cron_expression: "at noon" } },
        },
      },
      "mode.triggers.schedule.cron_expression",
    ],
    [
      "the same in the flat form",
      { schedule_frequency: "expression", cron_expression: "at noon" },
      "cron_expression",
    ],
    [
      "a weekly schedule without a day",
      { mode: { type: "triggered", triggers: { schedule: { frequency: "weekly" } } } },
      "mode.triggers.schedule",
    ],
    [
      "an hour that is none",
      { mode: { type: "triggered", triggers: { schedule: { frequency: "daily", hour: 25 } } } },
      "mode.triggers.schedule.hour",
    ],
    ["the same in the flat form", { schedule_frequency: "daily", schedule_hour: 25 }, "schedule_hour"],
    [
      "an unknown parent",
      { mode: { type: "triggered", triggers: { sync_sequence: { sync_id: 999 } } } },
      "mode.triggers.sync_sequence.sync_id",
    ],
    ["a live sync", { mode: { type: "live", triggers: {} } }, "mode.type"],
    [
      "append's options elsewhere",
      { historical_sync_operation: "skip_current_records" },
      "historical_sync_operation",
    ],
    ["another mirror strategy", { mirror_strategy: "upload_and_swap" }, "mirror_strategy"],
    ["an unknown alert", { alert_attributes: [{ type: "MoonAlert" }] }, "alert_attributes[0].type"],
    [
      "an alert's options",
      { alert_attributes: [{ type: "StatusAlertConfiguration", options: { status_name: "stopped" } }] },
      "alert_attributes[0].options.status_name",
    ],
    [
      "an option inside advanced_configuration",
      { operation: "mirror", advanced_configuration: { max_delete_percent: "101" } },
      "advanced_configuration.max_delete_percent",
    ],
  ])("refuses %s with the field's own name, and makes nothing", async (_what, changes, field) => {
    const before = await scene.api.get("/syncs?per_page=1");
    const { status, body } = await scene.api.post("/syncs", scene.body(changes));
    expect([status, body.status, body.code]).toEqual([400, "error", 400]);
    expect(body.errors.map((problem: { field: string }) => problem.field)).toContain(field);
    expect(body.message).toContain(`${field}: `);
    const after = await scene.api.get("/syncs?per_page=1");
    expect(after.body.pagination.total_records).toBe(before.body.pagination.total_records);
  });

  test("refuses what is missing, field by field", async () => {
    const { status, body } = await scene.api.post("/syncs", { label: "x" });
    expect(status).toBe(400);
    expect(body.errors.map((problem: { field: string }) => problem.field).sort()).toEqual([
      "destination_attributes",
      "mappings",
      "operation",
      "source_attributes",
    ]);
  });
});
