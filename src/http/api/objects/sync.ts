/** A sync as the API shows it (behaviour.md 1.6; api-clients.md 2 and 3). */
import { z } from "@hono/zod-openapi";
import type { SyncView } from "../../../configuration/syncViews.ts";
import { OPERATIONS } from "../../../domain/configuration.ts";
import { syncOptionsShape } from "../../../domain/syncOptions.ts";
import { instant, instantOrNull } from "../answers.ts";
import { alertsShape, presentAlerts } from "../syncs/alertAttributes.ts";
import { type KeptMappings, mappingSchema } from "../syncs/mappingSchemas.ts";
import { flatScheduleShape, modeSchema, presentFlatSchedule, presentMode } from "../syncs/mode.ts";
import { presentMappings } from "../syncs/shownMappings.ts";

const sourceObjectSchema = z.object({
  type: z.enum(["model", "dataset", "table"]),
  id: z.int(),
  name: z.string(),
  query: z.string().optional(),
  table_catalog: z.string().optional(),
  table_schema: z.string().optional(),
  table_name: z.string().optional(),
  created_at: z.iso.datetime().optional(),
  updated_at: z.iso.datetime().optional(),
});

export const syncSchema = z
  .object({
    id: z.int(),
    label: z.string().nullable(),
    resource_identifier: z.string().openapi({ description: "its short name, as in egret.yaml and the CLI" }),
    status: z
      .enum(["Ready", "Up to Date", "Failing"])
      .openapi({ description: "Ready: never run; else how the last run went" }),
    operation: z.enum(OPERATIONS),
    paused: z.boolean(),
    source_attributes: z.object({ connection_id: z.int(), object: sourceObjectSchema }),
    destination_attributes: z.object({
      connection_id: z.int(),
      object: z.string(),
      lead_union_insert_to: z.string().optional(),
    }),
    mappings: z.array(mappingSchema),
    mode: modeSchema,
    ...flatScheduleShape,
    ...alertsShape,
    field_behavior: z.enum(["specific_properties", "sync_all_properties"]),
    field_normalization: z.string().nullable(),
    field_order: z.string(),
    mirror_strategy: z.string().nullable(),
    historical_sync_operation: z.string().nullable(),
    high_water_mark_attribute: z.string().nullable(),
    sync_behavior_family: z.string().nullable(),
    advanced_configuration: z.record(z.string(), z.unknown()).nullable(),
    overlap_policy: syncOptionsShape.overlap_policy.unwrap(),
    timestamp_format: syncOptionsShape.timestamp_format.unwrap(),
    send_full_record_on_delete: z.boolean(),
    split_rejected_batches: z.boolean().nullable(),
    max_delete_percent: z.number().nullable(),
    max_rejected_percent: z.number().nullable(),
    managed_by: z
      .enum(["file", "api"])
      .openapi({ description: "file: the next `egret apply` shows a change of it as a difference" }),
    last_run_id: z.int().nullable(),
    last_run_at: z.iso.datetime().nullable(),
    next_run_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi("Sync");
export type SyncObject = z.infer<typeof syncSchema>;

const STATUSES = { ready: "Ready", "up to date": "Up to Date", failing: "Failing" } as const;

/** A sync for its readers. */
export function presentSync(view: SyncView): SyncObject {
  const { options, attributes } = view;
  const text = (name: string): string | null => {
    const value = attributes[name];
    return typeof value === "string" && value !== "" ? value : null;
  };
  const record = (name: string) => (attributes[name] ?? null) as Record<string, unknown> | null;
  const insertTo = text("lead_union_insert_to");
  const kept: Partial<KeptMappings> = {
    ...(attributes["key"] ? { key: attributes["key"] as KeptMappings["key"] } : {}),
    extras: (attributes["mapping_extras"] ?? {}) as KeptMappings["extras"],
  };
  return {
    id: view.id,
    label: view.label,
    resource_identifier: view.name,
    status: STATUSES[view.status],
    operation: view.operation as SyncObject["operation"],
    paused: view.paused,
    source_attributes: { connection_id: view.sourceId, object: presentObject(view, text("object_type")) },
    destination_attributes: {
      connection_id: view.destination.id,
      object: text("destination_object") ?? view.destination.type,
      ...(insertTo === null ? {} : { lead_union_insert_to: insertTo }),
    },
    mappings: presentMappings(view.mappings, kept),
    mode: presentMode({ schedule: options.schedule, parentId: view.parentId }, attributes["triggers"] ?? {}),
    ...presentFlatSchedule(options.schedule),
    ...presentAlerts(view.alerts),
    field_behavior: options.field_behavior,
    field_normalization: options.field_normalization ?? null,
    field_order: text("field_order") ?? options.field_order,
    mirror_strategy: text("mirror_strategy"),
    historical_sync_operation: options.historical_sync_operation ?? null,
    high_water_mark_attribute: options.high_water_mark_attribute ?? null,
    sync_behavior_family: text("sync_behavior_family"),
    advanced_configuration: record("advanced_configuration"),
    overlap_policy: options.overlap_policy,
    timestamp_format: options.timestamp_format,
    send_full_record_on_delete: options.send_full_record_on_delete,
    split_rejected_batches: options.split_rejected_batches ?? null,
    max_delete_percent: options.max_delete_percent ?? null,
    max_rejected_percent: options.max_rejected_percent ?? null,
    managed_by: view.managedBy,
    last_run_id: view.lastRunId,
    last_run_at: instantOrNull(view.lastRunAt),
    next_run_at: instantOrNull(view.nextRunAt),
    created_at: instant(view.createdAt),
    updated_at: instant(view.updatedAt),
  };
}

function presentObject(
  { object }: SyncView,
  sentType: string | null,
): SyncObject["source_attributes"]["object"] {
  if (object.kind === "table") {
    return {
      type: "table",
      id: object.id,
      name: object.table,
      ...(object.catalog === null ? {} : { table_catalog: object.catalog }),
      table_schema: object.schema,
      table_name: object.table,
    };
  }
  return {
    type: sentType === "dataset" ? "dataset" : "model",
    id: object.id,
    name: object.name,
    query: object.query,
    created_at: instant(object.createdAt),
    updated_at: instant(object.updatedAt),
  };
}
