/**
 * Answers as the typed clients decode them: one field of another type, and a whole resource is lost to them (api-clients.md
 * 1.1, 1.8, 1.10 to 1.12). Tried on objects in as many states as they can be in.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { askApi } from "../../support/api.ts";
import { type Everything, makeEverything } from "./everyEndpoint.ts";
import { KEY, openSyncScene, type SyncScene } from "./syncScene.ts";

/** `?`: may be null or absent. `!`: absent, never null. Everything else has to be there. */
type Type = string | { [field: string]: Type } | [Type];

let scene: SyncScene;
let everything: Everything;
const syncs: number[] = [];

beforeAll(async () => {
  scene = await openSyncScene({ apiRequestsPerSecond: 0 });
  everything = await makeEverything(scene, "decoded");
  const schedule = { frequency: "weekly", day: "Sunday", hour: 6, minute: 30 };
  const cron = { frequency: "expression", cron_expression: "0 6 * * 1" };
  const first = await scene.make();
  const table = { type: "table", table_schema: "public", table_name: "people" };
  for (const changes of [
    { label: null },
    { paused: true, mode: { type: "triggered", triggers: { schedule } } },
    { mode: { type: "triggered", triggers: { schedule: cron, dbt_cloud: {}, fivetran: {} } } },
    { mode: { type: "triggered", triggers: { sync_sequence: { sync_id: first } } } },
    { schedule_frequency: "hourly", schedule_minute: 5 },
    { source_attributes: { connection_id: scene.ids.warehouse, object: table } },
    {
      source_attributes: {
        connection_id: scene.ids.warehouse,
        object: { type: "dataset", id: `${scene.ids.people}` },
      },
    },
    { destination_attributes: { connection_id: scene.ids.crm, object: "Account" }, operation: "update" },
    {
      alert_attributes: [
        {
          type: "InvalidRecordPercentAlertConfiguration",
          send_for: "every_time",
          options: { threshold: "5" },
        },
      ],
      mappings: [
        KEY,
        { from: { type: "constant_value", data: { value: "x", basic_type: "text" } }, to: "a" },
        { from: { type: "sync_metadata", data: "sync_run_id" }, to: "b" },
        { from: { type: "liquid_template", data: { liquid_template: "{{ record['name'] }}" } }, to: "c" },
      ],
    },
  ])
    syncs.push(await scene.make(changes));
}, 120_000);

const IS: Readonly<Record<string, (value: unknown) => boolean>> = {
  int: (value) => Number.isSafeInteger(value),
  text: (value) => typeof value === "string",
  bool: (value) => typeof value === "boolean",
  map: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  list: (value) => Array.isArray(value),
  any: (value) => value !== undefined,
  time: (value) =>
    typeof value === "string" &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) &&
    !!Date.parse(value),
};

/** Where a value has another type. */
function faults(value: unknown, type: Type, at: string): string[] {
  const other = [`${at} is ${JSON.stringify(value)}`];
  if (typeof type === "string") {
    if (type.endsWith("?") && (value ?? null) === null) return [];
    if (type.endsWith("!") && value === undefined) return [];
    return IS[type.replace(/[?!]$/, "")]?.(value) === true ? [] : other;
  }
  if (Array.isArray(type))
    return Array.isArray(value) ? value.flatMap((each, n) => faults(each, type[0], `${at}[${n}]`)) : other;
  if (!IS["map"]?.(value)) return other;
  return Object.entries(type).flatMap(([field, part]) =>
    faults((value as Record<string, unknown>)[field], part, `${at}.${field}`),
  );
}

const FIELD = {
  id: "text",
  label: "text",
  type: "text",
  rules: ["text"],
  is_password_type_field: "bool",
  possible_values: ["text"],
} satisfies Type;
const COLUMN = { name: "text", data_type: "text", can_be_upsert_key: "bool" } satisfies Type;
const KIND = {
  service_name: "text",
  label: "text",
  creatable_via_api: "bool",
  creatable_via_connect_link: "bool",
  configuration_fields: { fields: [FIELD] },
} satisfies Type;
const SOURCE = {
  id: "int",
  name: "text",
  type: "text",
  label: "text?",
  sync_engine: "text",
  connection_details: "map",
  warehouse_writeback_retention_in_days: "int!",
  created_at: "time",
  updated_at: "time",
  last_test_succeeded: "bool?",
  last_tested_at: "time?",
  // A text for one client, a number for another.
  workspace_id: "none!",
} satisfies Type;
const { sync_engine: _engine, warehouse_writeback_retention_in_days: _days, ...DESTINATION } = SOURCE;
const DATASET = {
  id: "int",
  source_id: "int",
  name: "text",
  type: "text",
  query: "text",
  resource_identifier: "text",
  description: "text?",
  cached_record_count: "int?",
  columns: [COLUMN],
  created_at: "time",
  updated_at: "time",
} satisfies Type;
const SYNC = {
  id: "int",
  label: "text?",
  resource_identifier: "text",
  status: "text",
  operation: "text",
  paused: "bool",
  schedule_frequency: "text",
  schedule_day: "int?",
  schedule_hour: "int?",
  schedule_minute: "int?",
  cron_expression: "text?",
  field_behavior: "text?",
  field_normalization: "text?",
  field_order: "text?",
  sync_behavior_family: "text?",
  high_water_mark_attribute: "text?",
  historical_sync_operation: "text?",
  mirror_strategy: "text?",
  advanced_configuration: "map?",
  failed_run_notifications_enabled: "bool",
  failed_record_notifications_enabled: "bool",
  created_at: "time",
  updated_at: "time",
  last_run_at: "time?",
  next_run_at: "time?",
  last_run_id: "int?",
  source_attributes: {
    connection_id: "int",
    object: {
      type: "text",
      id: "int",
      name: "text",
      table_name: "text!",
      table_schema: "text!",
      table_catalog: "text!",
    },
  },
  destination_attributes: { connection_id: "int", object: "text" },
  mappings: [
    {
      from: { type: "text", data: "any" },
      to: "text",
      is_primary_identifier: "bool",
      sync_null_values: "bool",
      lookup_object: "text?",
      lookup_field: "text?",
      preserve_values: "bool",
      generate_field: "bool",
      field_type: "text!",
    },
  ],
  mode: { type: "text", triggers: "map" },
  alert_attributes: [
    { id: "int", type: "text", send_for: "text", should_send_recovery: "bool", options: "map?" },
  ],
  workspace_id: "none!",
} satisfies Type;
const TRIGGERS = {
  schedule: { frequency: "text", day: "text?", hour: "int?", minute: "int?", cron_expression: "text?" },
  dbt_cloud: { project_id: "text?", job_id: "text?" },
  fivetran: { job_id: "text?", job_name: "text?" },
  sync_sequence: { sync_id: "int" },
} satisfies Type;
const RUN = {
  id: "int",
  sync_id: "int",
  status: "text",
  created_at: "time",
  updated_at: "time",
  completed_at: "time?",
  canceled: "bool",
  full_sync: "bool",
  source_record_count: "int?",
  records_processed: "int?",
  records_updated: "int?",
  records_failed: "int?",
  records_invalid: "int?",
  error_code: "text?",
  error_message: "text?",
  error_detail: "text?",
  sync_trigger_reason: "map",
} satisfies Type;
const LINK = {
  id: "int",
  type: "text?",
  uri: "text",
  revoked: "bool",
  expired: "bool",
  expiration: "time",
  source_id: "int?",
  destination_id: "int?",
  sync_id: "int?",
} satisfies Type;
const WEBHOOK = {
  id: "int",
  name: "text",
  endpoint: "text",
  description: "text?",
  events: ["text"],
} satisfies Type;
const OBJECT = {
  full_name: "text",
  label: "text",
  supported_operations: ["text"],
  allow_custom_fields: "bool",
  fields: [{ full_name: "text", label: "text", type: "text", required_for_mapping: "bool", array: "bool" }],
} satisfies Type;
const PAGINATION = {
  total_records: "int",
  per_page: "int",
  prev_page: "int?",
  page: "int",
  next_page: "int?",
  last_page: "int",
} satisfies Type;

describe("what the typed clients decode", () => {
  test.each<[string, Type]>([
    ["/source_types", KIND],
    ["/connectors", KIND],
    ["/sources", SOURCE],
    ["/sources/{id}/objects", { type: "text", id: "int", columns: [{ name: "text", type: "text" }] }],
    ["/sources/{id}/models", { type: "text", id: "int", name: "text", query: "text", columns: "list" }],
    ["/sources/{id}/filter_segments", { id: "int" }],
    ["/destinations", DESTINATION],
    ["/destinations/{id}/objects", OBJECT],
    ["/datasets", DATASET],
    ["/models", { id: "int", name: "text", created_at: "time" }],
    ["/syncs", SYNC],
    ["/syncs/{id}/sync_runs", RUN],
    ["/webhooks", WEBHOOK],
    ["/source_connect_links", LINK],
    ["/destination_connect_links", LINK],
    ["/sync_management_links", LINK],
    ["/entities", { id: "int" }],
  ])("GET %s as a list", async (path, type) => {
    const { status, body } = await scene.api.get(`${everything.fill(path)}?order=asc&per_page=250`);
    expect([status, body.status]).toEqual([200, "success"]);
    if (!/segments|entities/.test(path)) expect(body.data.length).toBeGreaterThan(0);
    expect(faults(body, { data: [type] }, "")).toEqual([]);
    // Terraform asks for all kinds at once.
    if (path !== "/source_types")
      expect(faults(body, { pagination: PAGINATION, next: "text?" }, "")).toEqual([]);
  });

  test.each<[string, Type]>([
    ["/sources/{id}", SOURCE],
    ["/destinations/{id}", DESTINATION],
    ["/datasets/{id}", DATASET],
    ["/sync_runs/{id}", RUN],
    ["/webhooks/{id}", WEBHOOK],
  ])("GET %s", async (path, type) => {
    const { body } = await scene.api.get(everything.fill(path));
    expect(faults(body.data, type, "")).toEqual([]);
  });

  test("GET and PATCH of syncs of every kind", async () => {
    for (const id of syncs) {
      const shown = (await scene.api.get(`/syncs/${id}`)).body;
      const changed = (await scene.api.patch(`/syncs/${id}`, { paused: false })).body;
      expect([shown.status, changed.status]).toEqual(["success", "updated"]);
      for (const { data } of [shown, changed]) {
        expect(faults(data, SYNC, `${id}`)).toEqual([]);
        for (const [name, trigger] of Object.entries(data.mode.triggers))
          expect(faults(trigger, TRIGGERS[name as keyof typeof TRIGGERS], `${id}.${name}`)).toEqual([]);
      }
    }
  });

  test("workspaces, with a personal token and with a key", async () => {
    const type = {
      id: "int",
      name: "text",
      organization_id: "int",
      created_at: "time",
      notification_emails: ["text"],
      api_key: "text!",
    } satisfies Type;
    const { body } = await askApi(scene.egret.url, scene.api.personalToken, { path: "/workspaces" });
    expect(faults(body.data, [type], "")).toEqual([]);
    expect(faults((await scene.api.get("/workspace")).body.data, type, "")).toEqual([]);
  });
});
