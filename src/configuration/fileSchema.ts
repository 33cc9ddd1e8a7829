/** The shape of egret.yaml: one zod schema, from which the JSON Schema for editors is made. */
import { z } from "zod";
import { CONSTANT_TYPES, METADATA_FIELDS, OPERATIONS } from "../domain/configuration.ts";
import { FIELD_TYPES } from "../domain/fieldTypes.ts";
import { LIFECYCLE_EVENTS } from "../domain/lifecycle.ts";
import { syncOptionsShape } from "../domain/syncOptions.ts";
import { destinationSchema, tlsSchema } from "./destinationSchema.ts";

/** Names of sources, models, destinations, syncs, webhooks and the workspace. */
export const NAME_FORM = /^[A-Za-z][A-Za-z0-9_]{0,62}$/;

const nameSchema = z.string().regex(NAME_FORM, {
  error: "A name is a letter, then up to 62 letters, digits or underscores.",
});

const reference = (kind: string) => z.string().min(1).describe(`name of a ${kind} of this file`);

export const sourceSchema = z
  .strictObject({
    type: z.literal("postgres"),
    url: z
      .string()
      .regex(/^postgres(ql)?:\/\/\S+$/, {
        error: "A Postgres address looks like postgres://user:password@host:5432/database.",
      })
      .describe("postgres:// address; give the password by ${NAME}"),
    sync_engine: z
      .enum(["basic", "advanced"])
      .default("basic")
      .describe(
        "where is kept what was sent: basic keeps it in Egret's Postgres and only reads the source; advanced keeps it in a schema of the source, so that only changed rows travel",
      ),
    state_schema: z
      .string()
      .regex(/^(?!pg_|public$|information_schema$)[a-z_][a-z0-9_]{0,62}$/, {
        error:
          "A schema of its own: a letter, then letters, digits or underscores, in small letters; not public.",
      })
      .optional()
      .describe("schema for that of sync_engine: advanced, egret when left out; nothing else is written to"),
  })
  .describe("a database to read from");

export const modelSchema = z
  .strictObject({
    source: reference("source"),
    query: z
      .string()
      .trim()
      .min(1, { error: "Write one SELECT." })
      .describe("exactly one SELECT or WITH statement"),
  })
  .describe("rows, as one SELECT over a source");

const mappingEntrySchema = z
  .strictObject({
    column: z.string().min(1).optional().describe("column of the model or table"),
    constant: z.union([z.string(), z.number(), z.boolean(), z.null()]).optional().describe("fixed value"),
    template: z
      .string()
      .optional()
      .describe("Liquid over the columns, as in {{ record['email'] | downcase }}; the field is a text"),
    metadata: z.enum(METADATA_FIELDS).optional().describe("fact of the run"),
    to: z.string().min(1).max(200).describe("field that the destination gets"),
    sync_null_values: z
      .boolean()
      .optional()
      .describe("false leaves the field out of a record in which the column is null; left out: null is sent"),
    field_type: z
      .enum(FIELD_TYPES)
      .optional()
      .describe("type that the value is made; a row whose value cannot be made it is invalid, and not sent"),
    basic_type: z
      .enum(CONSTANT_TYPES)
      .optional()
      .describe("type of the constant; left out: as it is written"),
  })
  .refine(
    ({ column, constant, template, metadata }) =>
      [column, constant, template, metadata].filter((from) => from !== undefined).length === 1,
    { error: "A mapping has one of `column`, `constant`, `template` and `metadata`." },
  );
export type MappingEntry = z.infer<typeof mappingEntrySchema>;

export const syncSchema = z
  .strictObject({
    label: z.string().min(1).max(200).optional().describe("name that people and destinations see"),
    model: reference("model").optional(),
    table: z
      .string()
      .regex(/^[^."\s]+\.[^."\s]+$/, { error: "Write the table with its schema, as in public.airports." })
      .optional()
      .describe("table or view with its schema, together with `source`"),
    source: reference("source").optional(),
    destination: reference("destination"),
    // Source: docs; behaviour.md 13.34: `create` is another name of insert.
    operation: z
      .preprocess((name) => (name === "create" ? "insert" : name), z.enum(OPERATIONS))
      .default("upsert")
      .describe("what is done with new and changed rows"),
    key: z.string().min(1).describe("column that identifies a row; it travels as unique_id"),
    mappings: z
      .array(z.union([z.string().min(1), mappingEntrySchema]))
      .max(1000)
      .optional()
      .describe("columns to send beside the key; left out: every column; an empty list: the key alone"),
    ...syncOptionsShape,
  })
  .describe("rows of one model or table, kept up to date in one destination");

export const webhookSchema = z
  .strictObject({
    description: z.string().max(1000).optional(),
    endpoint: z.url({ protocol: /^https?$/ }).describe("https:// address that gets the events"),
    events: z
      .array(z.enum(LIFECYCLE_EVENTS))
      .min(1, { error: "Name at least one event, or leave `events` out for all of them." })
      .optional()
      .describe("events to send; left out: all"),
    enabled: z
      .boolean()
      .default(true)
      .describe("false sends nothing; true leaves one that was disabled elsewhere disabled"),
    auto_disable_after_exhausted: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe("disable it after so many deliveries in a row that no attempt got through; left out: never"),
    disable_on_gone: z.boolean().default(false).describe("disable it when it answers 410 Gone"),
    honor_retry_after: z
      .boolean()
      .default(false)
      .describe(
        "wait as long as its Retry-After asks, up to 15 minutes, when that is longer than the schedule",
      ),
    tls: tlsSchema,
  })
  .describe("a subscriber to sync lifecycle events");

/** Schemas by the key of the file that holds a map of them. */
export const SECTIONS = {
  sources: sourceSchema,
  models: modelSchema,
  destinations: destinationSchema,
  syncs: syncSchema,
  webhooks: webhookSchema,
} as const;
export type SectionName = keyof typeof SECTIONS;

const section = <S extends z.ZodType>(schema: S, what: string) =>
  z.record(nameSchema, schema).default({}).describe(`${what}, by name`);

export const fileSchema = z.strictObject({
  workspace: nameSchema.describe(
    "what this file configures: what is no longer in it is deleted by `egret apply`, what the API made stays",
  ),
  sources: section(sourceSchema, "databases to read from"),
  models: section(modelSchema, "SELECT statements"),
  destinations: section(destinationSchema, "places to send rows to"),
  syncs: section(syncSchema, "syncs"),
  webhooks: section(webhookSchema, "subscribers to lifecycle events"),
});
export type FileShape = z.infer<typeof fileSchema>;
