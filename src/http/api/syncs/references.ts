/** Finds what a sync of a request refers to: model or table, destination, the sync after which it runs. */
import { z } from "@hono/zod-openapi";
import { type Kysely, sql } from "kysely";
import type { FieldProblem } from "../../../domain/errors.ts";
import type { Database } from "../../../projections/database.ts";
import { idInBody } from "../endpoint.ts";

const name = z.string({ error: "Write a text." }).nullish();
const id = z
  .union([idInBody, z.literal("")], { error: "Write the id: a number, or its digits." })
  .nullish()
  .openapi({ type: "integer", format: "int64" });

/** What a sync reads, as clients write it. */
export const sourceInput = z
  .object({
    connection_id: id.openapi({ description: "of the source; a model has its own" }),
    object: z.object(
      {
        type: name.openapi({ description: "model, dataset or table; model when left out" }),
        id,
        name,
        table_catalog: name,
        table_schema: name,
        table_name: name,
      },
      { error: "Name what is read, as in {type: model, id: 9}." },
    ),
    filter_segment_id: z.unknown().optional().openapi({ description: "there are no segments" }),
    cohort_id: z.unknown().optional().openapi({ description: "there are no cohorts" }),
  })
  .openapi("SyncSourceInput");
export type SourceInput = z.infer<typeof sourceInput>;

/** Where a sync sends, as clients write it. */
export const destinationInput = z
  .object({
    connection_id: z
      .union([idInBody], { error: "Write the id of a destination." })
      .openapi({ type: "integer", format: "int64" }),
    object: z
      .string({ error: "Write the name of the object." })
      .max(200)
      .nullish()
      .openapi({ description: "a destination has one object; its name is kept as it is written" }),
    lead_union_insert_to: name,
  })
  .openapi("SyncDestinationInput");

/** The part of a sync's entry that says what is read. */
export type FoundSource =
  | { model: string; table?: undefined; source?: undefined }
  | { model?: undefined; table: string; source: string };

type Found<T> = { found: T } | { problem: FieldProblem };

const OBJECT = "source_attributes.object";
const problem = (field: string, message: string) => ({ problem: { field, message } });

/** What a sync of the workspace reads. */
export async function findSource(
  db: Kysely<Database>,
  workspaceId: number,
  { connection_id, object, filter_segment_id, cohort_id }: SourceInput,
): Promise<Found<FoundSource>> {
  for (const [field, value] of Object.entries({ filter_segment_id, cohort_id })) {
    if (value !== null && value !== undefined && value !== "")
      return problem(`source_attributes.${field}`, "There are no segments or cohorts here; leave it out.");
  }
  const sourceId = connection_id === "" ? null : (connection_id ?? null);
  if (sourceId !== null) {
    const source = await findSourceRow(db, workspaceId, sourceId);
    if (source === null) return problem("source_attributes.connection_id", `There is no source ${sourceId}.`);
  }
  const isTable = object.table_name !== undefined && object.table_name !== null && object.table_name !== "";
  const type = object.type ?? (isTable ? "table" : "model");
  if (type === "model" || type === "dataset") return findModel(db, workspaceId, { sourceId, object });
  if (type === "table" || type === "view") return findTable(db, workspaceId, { sourceId, object });
  return problem(`${OBJECT}.type`, "Write model, dataset or table; nothing else can be read.");
}

interface Wanted {
  sourceId: number | null;
  object: SourceInput["object"];
}

async function findModel(
  db: Kysely<Database>,
  workspaceId: number,
  { sourceId, object }: Wanted,
): Promise<Found<FoundSource>> {
  const hasId = object.id !== undefined && object.id !== null && object.id !== "";
  if (!hasId && !object.name) return problem(OBJECT, "Name the model by `id` or `name`.");
  let query = db
    .selectFrom("egret.models")
    .select(["name", "source_id"])
    .where("workspace_id", "=", workspaceId);
  query = hasId
    ? query.where("id", "=", Number(object.id))
    : query.where(({ or, eb }) =>
        or([eb("name", "=", object.name ?? ""), eb("label", "=", object.name ?? "")]),
      );
  const rows = await query.orderBy("id").execute();
  const own = rows.filter(({ source_id }) => sourceId === null || source_id === sourceId);
  const field = hasId ? `${OBJECT}.id` : `${OBJECT}.name`;
  const [model, another] = own;
  if (another !== undefined) return problem(field, "More than one model has that name; name it by its `id`.");
  if (model !== undefined) return { found: { model: model.name } };
  if (rows.length > 0) {
    return problem(
      "source_attributes.connection_id",
      `The model reads from source ${rows[0]?.source_id}; write that, or leave it out.`,
    );
  }
  return problem(field, hasId ? `There is no model ${object.id}.` : "There is no model of that name.");
}

async function findTable(
  db: Kysely<Database>,
  workspaceId: number,
  { sourceId, object }: Wanted,
): Promise<Found<FoundSource>> {
  if (object.id !== undefined && object.id !== null && object.id !== "" && !object.table_name)
    return findTableById(db, workspaceId, { sourceId, id: object.id });
  const [schemaOfName, tableOfName] = splitName(object.name ?? "");
  const table = object.table_name || tableOfName;
  if (!table) return problem(OBJECT, "Name the table by `table_schema` and `table_name`, or by its `id`.");
  if (sourceId === null)
    return problem("source_attributes.connection_id", "Write the id of the source that has the table.");
  const source = await findSourceRow(db, workspaceId, sourceId);
  const { database } = source?.settings ?? {};
  if (object.table_catalog && typeof database === "string" && object.table_catalog !== database) {
    return problem(
      `${OBJECT}.table_catalog`,
      "The source reads another database; leave it out, or name that one.",
    );
  }
  const schema = object.table_schema || schemaOfName || "public";
  return { found: { table: `${schema}.${table}`, source: source?.name ?? "" } };
}

/** `schema.table`, or a table alone. */
function splitName(text: string): [schema: string, table: string] {
  const dot = text.indexOf(".");
  return dot === -1 ? ["", text] : [text.slice(0, dot), text.slice(dot + 1)];
}

async function findTableById(
  db: Kysely<Database>,
  workspaceId: number,
  wanted: { sourceId: number | null; id: number },
): Promise<Found<FoundSource>> {
  const row = await db
    .selectFrom("egret.source_tables as table")
    .innerJoin("egret.sources as source", "source.id", "table.source_id")
    .select(["table.table_schema", "table.table_name", "table.source_id", "source.name"])
    .where("table.id", "=", wanted.id)
    .where("source.workspace_id", "=", workspaceId)
    .executeTakeFirst();
  if (row === undefined) return problem(`${OBJECT}.id`, `There is no table ${wanted.id}.`);
  if (wanted.sourceId !== null && wanted.sourceId !== row.source_id) {
    return problem(
      "source_attributes.connection_id",
      `The table is of source ${row.source_id}; write that, or leave it out.`,
    );
  }
  return { found: { table: `${row.table_schema}.${row.table_name}`, source: row.name } };
}

async function findSourceRow(db: Kysely<Database>, workspaceId: number, sourceId: number) {
  const row = await db
    .selectFrom("egret.sources")
    .select(["name", "settings"])
    .where("id", "=", sourceId)
    .where("workspace_id", "=", workspaceId)
    .executeTakeFirst();
  return row ?? null;
}

/** Name of a destination or a sync of the workspace by its id. */
export async function findNamed(
  db: Kysely<Database>,
  workspaceId: number,
  wanted: { kind: "destination" | "sync"; id: number; field: string },
): Promise<Found<string>> {
  const table = wanted.kind === "sync" ? "egret.syncs" : "egret.destinations";
  const { rows } = await sql<{ name: string }>`
    select name from ${sql.table(table)} where id = ${wanted.id} and workspace_id = ${workspaceId}`.execute(
    db,
  );
  const [row] = rows;
  return row === undefined
    ? problem(wanted.field, `There is no ${wanted.kind} ${wanted.id}.`)
    : { found: row.name };
}
