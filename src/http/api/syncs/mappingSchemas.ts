/** Mappings of a sync in the API: as clients write them, nested or flat, and as they are shown (behaviour.md 1.7, 9.1). */
import { z } from "@hono/zod-openapi";
import { FIELD_TYPES } from "../../../domain/fieldTypes.ts";

/** Where a mapping's value comes from. */
export const FROM_TYPES = ["column", "constant_value", "liquid_template", "sync_metadata"] as const;
/** One of those. */
export type FromType = (typeof FROM_TYPES)[number];

const flag = z.boolean({ error: "Write true or false." }).nullish();
const text = z.string({ error: "Write a text." }).nullish();

/** What a client may say of a mapping beside what fills it. What the engine does not use is kept and shown again. */
const EXTRAS = {
  preserve_values: flag,
  generate_field: flag,
  array_field: flag,
  follow_source_type: flag,
  lookup_object: text,
  lookup_field: text,
} as const;
type ExtraName = keyof typeof EXTRAS;
/** Names of what is kept. */
export const EXTRA_NAMES = Object.keys(EXTRAS) as ExtraName[];
/** As a mapping is that says nothing of them. */
export const NO_EXTRAS = {
  preserve_values: false,
  generate_field: false,
  array_field: false,
  follow_source_type: false,
  lookup_object: null,
  lookup_field: null,
} as const;

/** What is kept of one mapping for its readers. */
export type Extras = { [N in ExtraName]?: string | boolean } & { operation?: string };

const common = {
  to: z.string({ error: "Name the field that the destination gets." }).min(1, {
    error: "Name the field that the destination gets.",
  }),
  is_primary_identifier: flag,
  sync_null_values: flag,
  field_type: text.openapi({ description: `one of ${FIELD_TYPES.join(", ")}` }),
  operation: text.openapi({
    description:
      "of array fields: overwrite; in the flat form: direct, constant, liquid_template, sync_metadata",
  }),
  ...EXTRAS,
};

const nestedFrom = z.object({
  type: z.string().openapi({ enum: [...FROM_TYPES] }),
  data: z
    .unknown()
    .optional()
    .openapi({
      description:
        "column: its name; constant_value: {value, basic_type}; liquid_template: {liquid_template}; sync_metadata: " +
        "sync_run_id, sync_id or sync_run_started_at",
    }),
});
/** As the documents have it. */
export type NestedFrom = z.infer<typeof nestedFrom>;

/** A mapping of a request, nested or in the flat form that a released client sends on PATCH (api-clients.md 1.1). */
export const mappingInput = z
  .object({
    from: z
      .union([nestedFrom, z.string()], {
        error: "Write {type, data}, such as {type: column, data: its name}.",
      })
      .nullish(),
    constant: z.unknown().optional().openapi({ description: "of the flat form" }),
    sync_metadata_key: text.openapi({ description: "of the flat form" }),
    liquid_template: text.openapi({ description: "of the flat form" }),
    ...common,
  })
  .openapi("MappingInput");
/** The same, parsed. */
export type MappingInput = z.infer<typeof mappingInput>;

/** A mapping as it is shown. */
export const mappingSchema = z
  .object({
    from: z.object({
      type: z.enum(FROM_TYPES),
      data: z.union([
        z.string(),
        z.object({
          value: z.union([z.string(), z.number(), z.boolean()]).nullable(),
          basic_type: z.string(),
        }),
        z.object({ liquid_template: z.string() }),
      ]),
    }),
    to: z.string(),
    is_primary_identifier: z.boolean(),
    sync_null_values: z.boolean(),
    field_type: z.string().optional(),
    operation: z.string().nullable(),
    preserve_values: z.boolean(),
    generate_field: z.boolean(),
    array_field: z.boolean(),
    follow_source_type: z.boolean(),
    lookup_object: z.string().nullable(),
    lookup_field: z.string().nullable(),
    position: z.int(),
  })
  .openapi("Mapping");
/** The same. */
export type MappingObject = z.infer<typeof mappingSchema>;

/** What is kept beside the entry: what the key is called, and where in the list it stood. */
export interface KeptMappings {
  key: { to: string; at: number; extras: Extras };
  /** By the field. */
  extras: Record<string, Extras>;
}
