/** Turns a sync into the queries that a Postgres source answers; reads nothing. */
import pg from "pg";
import type { Sync, SyncObject } from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { fieldsOf, keyMapping } from "./postgresFields.ts";
import { planRecord } from "./postgresRecord.ts";
import { hashExpression, isKeyLiteral, keyExpression, keyJsonExpression } from "./postgresTypes.ts";
import { type RowSql, windowsOf } from "./postgresWindows.ts";
import { recordBuilder } from "./recordBuilder.ts";
import { type CompiledSync, MAX_RAW_BYTES, MAX_RECORD_BYTES, type SourceColumn } from "./source.ts";

/** The model or table as it stands behind FROM; a model's trailing semicolon goes, a last line comment may stay. */
export function fromClause(object: SyncObject): string {
  if (object.type === "table")
    return `${pg.escapeIdentifier(object.schema)}.${pg.escapeIdentifier(object.table)} AS m`;
  return `(${withoutSemicolon(object.query)}\n) AS m`;
}

/** The query without semicolons and white space at its end. */
export function withoutSemicolon(query: string): string {
  return query.replace(/[;\s]+$/, "");
}

/** An array literal: quoted elements, backslash and quote escaped, then the whole as a string literal. */
function arrayLiteral(values: readonly string[], type: string): string {
  const elements = values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`);
  return `${pg.escapeLiteral(`{${elements.join(",")}}`)}::${type}[]`;
}

/** The type of each column by its name; `of` names the field whose template asks for it. */
function typesOf(columns: readonly SourceColumn[]): (column: string, of?: string) => string {
  const types = new Map(columns.map((column) => [column.name, column.type]));
  return (column, of) => {
    const type = types.get(column);
    if (type !== undefined) return type;
    throw new RunFailure(
      "SOURCE_COLUMN_MISSING",
      of === undefined
        ? `Mapped column ${column} no longer exists in the source`
        : `Column ${column}, which the template of ${of} uses, does not exist in the source`,
      `Remove or change the mapping of ${of ?? column}`,
    );
  };
}

/**
 * The queries of a sync, checked against the columns that the source has now.
 * @throws RunFailure SOURCE_COLUMN_MISSING or CONFIG_INVALID.
 */
export function compilePostgres(sync: Sync, columns: readonly SourceColumn[]): CompiledSync {
  const typeOf = typesOf(columns);
  const names = columns.map((column) => column.name);
  const key = keyMapping(sync);
  const keyType = typeOf(key.column);
  const keyColumn = `m.${pg.escapeIdentifier(key.column)}`;
  const keySql = keyExpression(keyColumn, keyType);
  if (keySql === null) {
    throw new RunFailure(
      "CONFIG_INVALID",
      `Column ${key.column} of type ${keyType} cannot be the sync key`,
      "Use a text, integer, numeric, uuid, date or timestamp column, or cast it to text in the model",
    );
  }
  const fields = fieldsOf({ sync, key, typeOf }, names);
  const { timestamp_format: format, high_water_mark_attribute: markColumn } = sync.options;
  const isByTime = sync.operation === "append" && markColumn !== undefined;
  // With its timestamp, so that a row that comes again later is not taken for the one that was sent.
  const watched = isByTime ? [markColumn] : [];
  const hashedColumns = [...new Set([...fields.flatMap((field) => field.columns), ...watched])].sort();
  const hashOf = (hashed: readonly string[]): string => {
    const values = hashed.map((name) => hashExpression(`m.${pg.escapeIdentifier(name)}`, typeOf(name)));
    return `hash_record_extended(ROW(${values.join(", ")}), 0)`;
  };
  const plan = planRecord(
    fields.map((field) => field.from),
    { typeOf, format },
  );
  const maxBytes = plan.recipe === null ? MAX_RECORD_BYTES : MAX_RAW_BYTES;
  const row: RowSql = {
    from: fromClause(sync.object),
    key: keySql,
    hash: hashOf(hashedColumns),
    keyIn: (keys) =>
      isKeyLiteral(keyType, keys)
        ? `${keyColumn} = ANY (${arrayLiteral(keys, keyType)})`
        : `${keySql} = ANY (${arrayLiteral(keys, "text")})`,
    records: (where, run) => {
      const { joins, expression } = plan.sql(run);
      // OFFSET 0 keeps the planner from writing the record's expression, and computing it, twice.
      return `SELECT key, hash, CASE WHEN octet_length(record) <= ${maxBytes} THEN record END
        FROM (SELECT ${row.key} AS key, ${row.hash} AS hash, ${expression} AS record
              FROM ${row.from}${joins} WHERE ${where} OFFSET 0) AS p`;
    },
  };
  return {
    fingerprint: fingerprintOf(sync, { key: key.column, columns: hashedColumns, fields }),
    keysSql: `SELECT ${row.key} AS key, ${row.hash} AS hash FROM ${row.from}`,
    recordsSql: (keys, run) => row.records(keys === null ? "true" : row.keyIn(keys), run),
    changedSql: (table, run) =>
      row.records(
        `NOT EXISTS (SELECT FROM ${table} AS t WHERE t.key = (${row.key}) COLLATE "C" AND t.hash = ${row.hash})`,
        run,
      ),
    rehashSql: (hashed) =>
      hashed.every((name) => names.includes(name))
        ? `SELECT ${row.key} AS key, ${hashOf(hashed)} AS previous, ${row.hash} AS hash FROM ${row.from}`
        : null,
    keyJsonSql: (text) => keyJsonExpression(text, keyType, format),
    windows: isByTime ? windowsOf(markColumn, typeOf(markColumn), row) : null,
    ...(plan.recipe === null ? {} : { buildRecord: recordBuilder(plan.recipe) }),
  };
}
