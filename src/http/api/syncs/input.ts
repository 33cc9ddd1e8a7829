/** Bodies that make and change a sync (behaviour.md 1.6; api-clients.md 1.1, 4). */
import { z } from "@hono/zod-openapi";
import { OPERATIONS } from "../../../domain/configuration.ts";
import { syncOptionsShape } from "../../../domain/syncOptions.ts";
import { alertsInput } from "./alertAttributes.ts";
import { mappingInput } from "./mappingSchemas.ts";
import { timingInput } from "./mode.ts";
import { destinationInput, sourceInput } from "./references.ts";

const flag = z.boolean({ error: "Write true or false." }).nullish();

/** One of several words; nothing is the same as null, which some clients send so. */
function word<const W extends readonly [string, ...string[]]>(words: W) {
  return z.union([z.enum(words), z.literal("")], { error: `Write one of ${words.join(", ")}.` }).nullish();
}

const wordsOf = <W extends string>({ options }: { options: W[] }) => options as [W, ...W[]];
const share = z
  .number({ error: "Write a number from 0 to 100." })
  .min(0, { error: "Write a number from 0 to 100." })
  .max(100, { error: "Write a number from 0 to 100." })
  .nullish();

/** Options by their own names, which the API shares with egret.yaml. */
const options = {
  overlap_policy: word(wordsOf(syncOptionsShape.overlap_policy.unwrap())),
  historical_sync_operation: word(wordsOf(syncOptionsShape.historical_sync_operation.unwrap())),
  field_behavior: word(wordsOf(syncOptionsShape.field_behavior.unwrap())),
  field_normalization: word(wordsOf(syncOptionsShape.field_normalization.unwrap())),
  timestamp_format: word(wordsOf(syncOptionsShape.timestamp_format.unwrap())),
  high_water_mark_attribute: z.string({ error: "Write the name of a column." }).nullish(),
  send_full_record_on_delete: flag,
  split_rejected_batches: flag,
  max_delete_percent: share,
  max_rejected_percent: share,
};
/** Names of those options. */
export const PLAIN_OPTIONS = Object.keys(options) as (keyof typeof options)[];

/** Such as Census' newest provider sends; `source_column_order` is read as mapping_order. */
const FIELD_ORDERS = ["alphabetical_column_name", "mapping_order", "source_column_order"] as const;
const MIRROR_STRATEGIES = ["sync_updates_and_deletes"] as const;

const fields = {
  label: z
    .string({ error: "Write a text." })
    .max(200, { error: "At most 200 characters." })
    .nullish()
    .openapi({ description: "what people and destinations see" }),
  operation: z.enum([...OPERATIONS, "create"], { error: `Write one of ${OPERATIONS.join(", ")}.` }),
  paused: flag.openapi({ description: "true: schedules and other triggers start nothing" }),
  source_attributes: sourceInput,
  destination_attributes: destinationInput,
  mappings: z
    .array(mappingInput, { error: "Write a list of mappings." })
    .min(1, { error: "One mapping at least is needed: the key." })
    .max(1_001, { error: "At most 1001 mappings." }),
  ...timingInput,
  ...alertsInput,
  ...options,
  field_order: word(FIELD_ORDERS),
  mirror_strategy: word([...MIRROR_STRATEGIES, "sync_updates_and_nulls", "upload_and_swap"]).openapi({
    description: "only sync_updates_and_deletes is done",
  }),
  sync_behavior_family: z.string({ error: "Write a text." }).nullish(),
  advanced_configuration: z
    .record(z.string(), z.unknown(), { error: "Write an object." })
    .nullish()
    .openapi({
      description:
        "kept and shown again; of its keys those count that are fields of a sync: overlap_policy, timestamp_format, " +
        "send_full_record_on_delete, split_rejected_batches, max_delete_percent, max_rejected_percent",
    }),
  high_water_mark_attributes: z
    .object({ use_high_water_mark_diff_type: flag, column_name: z.string().nullish() })
    .nullish()
    .openapi({ description: "older form of high_water_mark_attribute" }),
};

/** To make a sync. */
export const newSyncSchema = z
  .object({
    ...fields,
    validate_only: flag.openapi({ description: "true: everything is checked, and nothing is made" }),
  })
  .openapi("NewSync");

/** To change one: what is left out stays, what is given is replaced whole. */
export const syncChangesSchema = z
  .object(fields)
  .extend({
    operation: fields.operation.nullish(),
    source_attributes: fields.source_attributes.nullish(),
    destination_attributes: fields.destination_attributes.nullish(),
    mappings: fields.mappings.nullish(),
    field_mappings: fields.mappings
      .nullish()
      .openapi({ description: "the same as mappings, which count before" }),
    validate_only: flag.openapi({
      description:
        "true: everything is checked, the answer tells what would be sent again, and nothing is changed",
    }),
  })
  .openapi("SyncChanges");
export type SyncChanges = z.infer<typeof syncChangesSchema>;

/** Fields that some clients can only say in advanced_configuration. */
export const ADVANCED_OPTIONS = [
  "overlap_policy",
  "timestamp_format",
  "send_full_record_on_delete",
  "split_rejected_batches",
  "max_delete_percent",
  "max_rejected_percent",
] as const satisfies (keyof typeof options)[];
