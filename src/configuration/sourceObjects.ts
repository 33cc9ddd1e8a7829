/** What is kept of a source's tables and of the columns of models, so that lists never have to ask the source. */
import { type Kysely, sql } from "kysely";
import { NotFound } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { Column } from "./sourceChecks.ts";

type Db = Kysely<Database>;

/** What is refreshed: the list of tables, or the columns of one model or table. */
export interface Refreshed {
  sourceId: number;
  modelId?: number;
  tableId?: number;
  /** Why it could not be; null when it was. */
  error: string | null;
}

const FOREIGN_KEY_VIOLATION = "23503";

/**
 * Keeps how a refresh went; its id is the `refresh_key` of the API.
 * @throws NotFound when what was refreshed has been deleted meanwhile.
 */
export async function keepRefresh(db: Db, { sourceId, modelId, tableId, error }: Refreshed): Promise<number> {
  const { id } = await db
    .insertInto("egret.source_refreshes")
    .values({ source_id: sourceId, model_id: modelId ?? null, table_id: tableId ?? null, error })
    .returning("id")
    .executeTakeFirstOrThrow()
    .catch((cause: unknown) => {
      if ((cause as { code?: unknown }).code !== FOREIGN_KEY_VIOLATION) throw cause;
      throw new NotFound(`source ${sourceId}, or what was refreshed of it, was deleted meanwhile`, { cause });
    });
  await forgetOldRefreshes(db, sourceId);
  return id;
}

const KEPT_REFRESHES = 1000;

async function forgetOldRefreshes(db: Db, sourceId: number): Promise<void> {
  await sql`
    delete from egret.source_refreshes where source_id = ${sourceId} and id < (
      select id from egret.source_refreshes where source_id = ${sourceId} order by id desc offset ${KEPT_REFRESHES} limit 1)`.execute(
    db,
  );
}

/** How a refresh went, by its key, or the last one without; null when there was none. */
export async function findRefresh(
  db: Db,
  wanted: { sourceId: number; modelId?: number; tableId?: number; key: number | null },
): Promise<{ id: number; error: string | null; ended_at: Date } | null> {
  const { sourceId, modelId = null, tableId = null, key } = wanted;
  let query = db
    .selectFrom("egret.source_refreshes")
    .select(["id", "error", "ended_at"])
    .where("source_id", "=", sourceId)
    .where("model_id", "is not distinct from", modelId)
    .where("table_id", "is not distinct from", tableId);
  if (key !== null) query = query.where("id", "=", key);
  return (await query.orderBy("id", "desc").limit(1).executeTakeFirst()) ?? null;
}

/** A table as its source lists it. */
export interface ListedTable {
  schema: string;
  name: string;
  columns: readonly Column[] | null;
}

/** Keeps a source's tables as it lists them now; those that it no longer lists keep their ids and are hidden. */
export async function keepTables(db: Db, sourceId: number, tables: readonly ListedTable[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // One refresh of a source at a time, or two would wait for each other's rows.
    const source = await trx
      .selectFrom("egret.sources")
      .select("id")
      .where("id", "=", sourceId)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (source === undefined) return;
    await trx
      .updateTable("egret.source_tables")
      .set({ is_gone: true })
      .where("source_id", "=", sourceId)
      .execute();
    await sql`
      insert into egret.source_tables (source_id, table_schema, table_name, columns)
      select ${sourceId}, * from unnest(
        ${tables.map(({ schema }) => schema)}::text[], ${tables.map(({ name }) => name)}::text[],
        ${tables.map(({ columns }) => (columns === null ? null : JSON.stringify(columns)))}::jsonb[])
      on conflict (source_id, table_schema, table_name)
      do update set is_gone = false, columns = coalesce(excluded.columns, egret.source_tables.columns)`.execute(
      trx,
    );
  });
}

/** Keeps the columns of one table. */
export async function keepTableColumns(db: Db, tableId: number, columns: readonly Column[]): Promise<void> {
  await db
    .updateTable("egret.source_tables")
    .set({ columns: JSON.stringify(columns), is_gone: false })
    .where("id", "=", tableId)
    .execute();
}

/** Tables that a source offers; those in which Egret keeps its own state are none. */
export function selectTables(db: Db, { workspaceId, sourceId }: { workspaceId: number; sourceId: number }) {
  return db
    .selectFrom("egret.source_tables as table")
    .innerJoin("egret.sources as source", "source.id", "table.source_id")
    .select(["table.id", "table.table_schema", "table.table_name", "table.columns", "table.created_at"])
    .where("source.workspace_id", "=", workspaceId)
    .where("source.id", "=", sourceId)
    .where(
      sql<boolean>`(source.settings->>'sync_engine' is distinct from 'advanced'
        or "table".table_schema is distinct from source.settings->>'state_schema')`,
    );
}

/** Id of a table of a source, made where there is none yet. */
export async function tableId(
  db: Db,
  { sourceId, schema, table }: { sourceId: number; schema: string; table: string },
): Promise<number> {
  const wanted = { source_id: sourceId, table_schema: schema, table_name: table };
  await db
    .insertInto("egret.source_tables")
    .values(wanted)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { id } = await db
    .selectFrom("egret.source_tables")
    .select("id")
    .where("source_id", "=", sourceId)
    .where("table_schema", "=", schema)
    .where("table_name", "=", table)
    .executeTakeFirstOrThrow();
  return id;
}
