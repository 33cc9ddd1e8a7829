/** What a sync can read of a source, as the API shows it: its tables and views, and the models over it. */
import { z } from "@hono/zod-openapi";
import { type Kysely, sql } from "kysely";
import { selectTables } from "../../../configuration/sourceObjects.ts";
import { NotFound } from "../../../domain/errors.ts";
import type { Database } from "../../../projections/database.ts";
import type { Page } from "../paging.ts";
import { columnSchema, type ModelRow, modelSchema, presentModel, selectModels } from "./model.ts";

export const tableSchema = z
  .object({
    type: z.literal("table"),
    id: z.int(),
    table_catalog: z.string().openapi({ description: "the database" }),
    table_schema: z.string(),
    table_name: z.string(),
    columns: z.array(columnSchema),
  })
  .openapi("SourceTable");

export const sourceObjectSchema = z.union([tableSchema, modelSchema]).openapi("SourceObject");

/** A table's row. */
export type TableRow = Awaited<ReturnType<ReturnType<typeof selectTables>["execute"]>>[number];

/** Ids of tables and of models are counted apart; a place in the list tells them from each other. */
type ObjectRow = { place: number } & ({ table: TableRow } | { model: ModelRow });

/** As the table of a database. */
export function presentTable(row: TableRow, database: string): z.infer<typeof tableSchema> {
  return {
    type: "table",
    id: row.id,
    table_catalog: database,
    table_schema: row.table_schema,
    table_name: row.table_name,
    columns: row.columns ?? [],
  };
}

/** A table or a model. */
export function presentObject(row: ObjectRow, database: string): z.infer<typeof sourceObjectSchema> {
  return "table" in row ? presentTable(row.table, database) : presentModel(row.model);
}

/**
 * A table of a source.
 * @throws NotFound when it has none of that id.
 */
export async function readTableRow(
  db: Kysely<Database>,
  wanted: { workspaceId: number; sourceId: number; id: number },
): Promise<TableRow> {
  const row = await selectTables(db, wanted).where("table.id", "=", wanted.id).executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no table ${wanted.id}`);
  return row;
}

/** One page of the tables and models of a source. */
export async function readObjectPage(
  db: Kysely<Database>,
  of: { workspaceId: number; sourceId: number },
  cut: { limit: number; offset: number; order: "asc" | "desc"; afterId: number | null },
): Promise<Page<ObjectRow>> {
  const tables = selectTables(db, of).where("table.is_gone", "=", false);
  const models = selectModels(db, of.workspaceId).where("source_id", "=", of.sourceId);
  const places = db
    .selectFrom(
      tables
        .clearSelect()
        .select([sql<number>`"table".id * 2`.as("place")])
        .unionAll(models.clearSelect().select([sql<number>`id * 2 + 1`.as("place")]))
        .as("object"),
    )
    .select("place");
  const { total } = await db
    .selectFrom(places.as("all"))
    .select((eb) => eb.fn.countAll<number>().as("total"))
    .executeTakeFirstOrThrow();
  let page = db.selectFrom(places.as("all")).select("place");
  if (cut.afterId !== null) page = page.where("place", cut.order === "asc" ? ">" : "<", cut.afterId);
  const found = await page.orderBy("place", cut.order).limit(cut.limit).offset(cut.offset).execute();
  const ids = (rest: 0 | 1) =>
    found.filter(({ place }) => place % 2 === rest).map(({ place }) => Math.floor(place / 2));
  const [tableRows, modelRows] = await Promise.all([
    ids(0).length === 0 ? [] : tables.where("table.id", "in", ids(0)).execute(),
    ids(1).length === 0 ? [] : models.where("id", "in", ids(1)).execute(),
  ]);
  const byPlace = new Map<number, ObjectRow>([
    ...tableRows.map((table) => [table.id * 2, { place: table.id * 2, table }] as const),
    ...modelRows.map((model) => [model.id * 2 + 1, { place: model.id * 2 + 1, model }] as const),
  ]);
  const rows = found.map(({ place }) => byPlace.get(place)).filter((row) => row !== undefined);
  return { rows, total };
}
