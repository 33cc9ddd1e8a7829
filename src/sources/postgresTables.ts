/** What a Postgres source has to offer: its tables and views with their columns; and whether it can be used at all. */
import type { Source } from "../domain/configuration.ts";
import { endQuietly, openSession } from "./postgres.ts";
import { toSourceFailure } from "./postgresErrors.ts";
import type { SourceColumn, SourceLimits } from "./source.ts";

/** A table, a view, or anything else that can be selected from. */
export interface SourceTable {
  schema: string;
  name: string;
  /** Null past MAX_COLUMNS of all tables together. */
  columns: SourceColumn[] | null;
}

/** More tables of one source are not listed; a sync can name them all the same. Source: ours. */
const MAX_TABLES = 5000;

/** Bounds what one list of tables takes in memory. Source: ours. */
const MAX_COLUMNS = 100_000;

const PAGE = 500;

/**
 * Tables, views, materialized views and foreign tables that the source's user may read, by schema and name. Left out are
 * partitions, which are read by their parent, names that egret.yaml cannot write, and Egret's own schema.
 * @throws RunFailure when the source does not answer.
 */
export async function listTables(source: Source, limits: SourceLimits): Promise<SourceTable[]> {
  const client = await openSession(source, limits);
  try {
    const tables: SourceTable[] = [];
    let columns = 0;
    while (tables.length < MAX_TABLES) {
      const last = tables.at(-1);
      const withColumns = columns < MAX_COLUMNS;
      const { rows } = await client.query<SourceTable>(TABLES, [
        source.stateSchema ?? null,
        last?.schema ?? null,
        last?.name ?? null,
        withColumns,
        PAGE,
      ]);
      tables.push(...rows);
      columns += rows.reduce((sum, row) => sum + (row.columns?.length ?? 0), 0);
      if (rows.length < PAGE) break;
    }
    return tables;
  } catch (error) {
    throw toSourceFailure(source.name, error);
  } finally {
    await endQuietly(client);
  }
}

const TABLES = `
  SELECT n.nspname AS schema, c.relname AS name,
    CASE WHEN $4 THEN coalesce((
      SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') END AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname IS DISTINCT FROM $1
    AND n.nspname !~ '[."\\s]' AND c.relname !~ '[."\\s]'
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    AND ($2::text IS NULL OR (n.nspname COLLATE "C", c.relname COLLATE "C") > ($2, $3))
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C" LIMIT $5`;

/**
 * Opens a session as a run would, and with a state schema asks whether it can be written to. Nothing is changed.
 * @returns what is missing, or null.
 * @throws RunFailure when the source does not answer.
 */
export async function testPostgres(source: Source, limits: SourceLimits): Promise<string | null> {
  const client = await openSession(source, limits);
  try {
    const schema = source.stateSchema ?? null;
    if (schema === null) return null;
    const { rows } = await client.query<{ ok: boolean }>(
      `SELECT CASE WHEN to_regnamespace(quote_ident($1)) IS NULL
         THEN has_database_privilege(current_database(), 'CREATE')
         ELSE has_schema_privilege(to_regnamespace(quote_ident($1)), 'CREATE, USAGE') END AS ok`,
      [schema],
    );
    if (rows[0]?.ok === true) return null;
    return `The source's user may not write to schema ${schema}, which sync_engine advanced needs; grant CREATE and USAGE on it.`;
  } catch (error) {
    throw toSourceFailure(source.name, error);
  } finally {
    await endQuietly(client);
  }
}
