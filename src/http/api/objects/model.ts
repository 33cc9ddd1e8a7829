/** A model, which newer clients call a dataset, as the API shows it and looks it up. */
import { z } from "@hono/zod-openapi";
import type { Kysely } from "kysely";
import { NotFound } from "../../../domain/errors.ts";
import { keyTypeProblem } from "../../../domain/syncKey.ts";
import type { Database } from "../../../projections/database.ts";
import { instant } from "../answers.ts";

const times = { created_at: z.iso.datetime(), updated_at: z.iso.datetime() };

export const columnSchema = z.object({ name: z.string(), type: z.string() }).openapi("Column");

export const modelSchema = z
  .object({
    type: z.literal("model"),
    id: z.int(),
    source_object_id: z.int().openapi({ description: "the same as `id`" }),
    source_id: z.int(),
    name: z.string(),
    description: z.string().nullable(),
    query: z.string(),
    compiled_query: z.null(),
    columns: z
      .array(columnSchema)
      .openapi({ description: "as the source last described them; empty until it did" }),
    ...times,
  })
  .openapi("Model");

export const datasetSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    type: z.literal("sql"),
    description: z.string().nullable(),
    query: z.string(),
    source_id: z.int(),
    resource_identifier: z.string().openapi({ description: "its short name, which never changes" }),
    cached_record_count: z.null(),
    columns: z.array(
      z.object({
        name: z.string(),
        data_type: z.string(),
        can_be_upsert_key: z
          .boolean()
          .openapi({ description: "whether a column of that type can identify rows" }),
      }),
    ),
    ...times,
  })
  .openapi("Dataset");

/** A model's row. */
export type ModelRow = Awaited<ReturnType<ReturnType<typeof selectModels>["execute"]>>[number];

/** Query over the models of a workspace. */
export function selectModels(db: Kysely<Database>, workspaceId: number) {
  return db.selectFrom("egret.models").selectAll().where("workspace_id", "=", workspaceId);
}

/**
 * The model of a workspace, of one source where that is named.
 * @throws NotFound when there is none of that id.
 */
export async function readModelRow(
  db: Kysely<Database>,
  { workspaceId, id, sourceId }: { workspaceId: number; id: number; sourceId?: number },
): Promise<ModelRow> {
  const row = await selectModels(db, workspaceId).where("id", "=", id).executeTakeFirst();
  if (row === undefined || (sourceId !== undefined && row.source_id !== sourceId))
    throw new NotFound(`there is no model ${id}`);
  return row;
}

function common(row: ModelRow) {
  const { description } = row.attributes;
  return {
    id: row.id,
    name: row.label ?? row.name,
    description: typeof description === "string" ? description : null,
    query: row.query,
    source_id: row.source_id,
    created_at: instant(row.created_at),
    updated_at: instant(row.updated_at),
  };
}

/** As a model. */
export function presentModel(row: ModelRow): z.infer<typeof modelSchema> {
  return {
    type: "model",
    source_object_id: row.id,
    compiled_query: null,
    columns: row.columns ?? [],
    ...common(row),
  };
}

/** As a dataset. */
export function presentDataset(row: ModelRow): z.infer<typeof datasetSchema> {
  return {
    type: "sql",
    resource_identifier: row.name,
    cached_record_count: null,
    columns: (row.columns ?? []).map(({ name, type }) => ({
      name,
      data_type: type,
      can_be_upsert_key: keyTypeProblem(type) === null,
    })),
    ...common(row),
  };
}
