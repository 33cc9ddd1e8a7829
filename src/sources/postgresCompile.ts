/** Turns a sync into the queries that a Postgres source answers; reads nothing. */
import { createHash } from "node:crypto";
import pg from "pg";
import { KEY_FIELD, type Mapping, type Sync, type SyncObject } from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import { hashExpression, keyExpression, valueExpression } from "./postgresTypes.ts";
import { type CompiledSync, MAX_RECORD_BYTES, type SourceColumn } from "./source.ts";

/** Postgres cuts longer names in silence, which would rename a field. */
const MAX_NAME_BYTES = 63;

type ColumnMapping = Extract<Mapping, { column: string }>;

interface Field {
  name: string;
  sql: string;
  /** Source column, or the field's own name for a constant: what the fields are ordered by. */
  order: string;
}

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

function invalid(message: string, detail: string): RunFailure {
  return new RunFailure("CONFIG_INVALID", message, detail);
}

function keyMapping(sync: Sync): ColumnMapping {
  const keys = sync.mappings.filter(
    (mapping): mapping is ColumnMapping => "column" in mapping && mapping.key === true,
  );
  const [key, ...others] = keys;
  if (key === undefined) throw invalid(`Sync ${sync.name} has no sync key`, "Set key: true on one mapping");
  if (others.length > 0) {
    throw invalid(
      `Sync ${sync.name} has ${keys.length} sync keys: ${keys.map((each) => each.column).join(", ")}`,
      "Leave key: true on exactly one mapping",
    );
  }
  return key;
}

function checkFieldNames(fields: readonly Field[]): void {
  const seen = new Set<string>();
  for (const { name } of fields) {
    if (Buffer.byteLength(name) > MAX_NAME_BYTES || name.includes("\u0000")) {
      throw invalid(
        `Field name ${JSON.stringify(name)} is too long or holds a NUL`,
        `Use at most ${MAX_NAME_BYTES} bytes`,
      );
    }
    if (seen.has(name)) {
      const hint =
        name === KEY_FIELD
          ? `${KEY_FIELD} is the field of the sync key`
          : "Give each mapping a field of its own";
      throw invalid(`Two mappings write the field ${name}`, hint);
    }
    seen.add(name);
  }
}

/** By code unit, so that the order is the same everywhere. */
function byOrder(a: Field, b: Field): number {
  return a.order < b.order ? -1 : a.order > b.order ? 1 : 0;
}

function fieldsOf(sync: Sync, key: ColumnMapping, typeOf: (column: string) => string): Field[] {
  const fields = sync.mappings.map((mapping): Field => {
    if (!("column" in mapping)) {
      const json = JSON.stringify(mapping.constant);
      return { name: mapping.to, order: mapping.to, sql: `${pg.escapeLiteral(json)}::json` };
    }
    const column = `m.${pg.escapeIdentifier(mapping.column)}`;
    // Whatever its mapping says, the key travels as `unique_id`. Source: seed; behaviour.md 5.4.
    const name = mapping === key ? KEY_FIELD : mapping.to;
    return { name, order: mapping.column, sql: valueExpression(column, typeOf(mapping.column)) };
  });
  checkFieldNames(fields);
  return fields.sort(byOrder);
}

function fingerprintOf(sync: Sync, key: ColumnMapping): string {
  const mappings = sync.mappings
    .map((each) =>
      "column" in each
        ? ["column", each.column, each.to, each === key]
        : ["constant", each.constant, each.to],
    )
    .map((each) => JSON.stringify(each))
    .sort();
  const { object } = sync;
  const from = object.type === "model" ? ["model", object.modelId] : ["table", object.schema, object.table];
  const text = JSON.stringify([1, sync.operation, from, sync.destination.id, mappings]);
  return createHash("sha256").update(text).digest("hex");
}

/** A text[] literal: quoted elements, backslash and quote escaped, then the whole as a string literal. */
function textArrayLiteral(values: readonly string[]): string {
  const elements = values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`);
  return `${pg.escapeLiteral(`{${elements.join(",")}}`)}::text[]`;
}

/**
 * The queries of a sync, checked against the columns that the source has now.
 * @throws RunFailure SOURCE_COLUMN_MISSING or CONFIG_INVALID.
 */
export function compilePostgres(sync: Sync, columns: readonly SourceColumn[]): CompiledSync {
  const types = new Map(columns.map((column) => [column.name, column.type]));
  const typeOf = (column: string): string => {
    const type = types.get(column);
    if (type !== undefined) return type;
    throw new RunFailure(
      "SOURCE_COLUMN_MISSING",
      `Mapped column ${column} no longer exists in the source`,
      `Remove or change the mapping of ${column}`,
    );
  };
  const key = keyMapping(sync);
  const keySql = keyExpression(`m.${pg.escapeIdentifier(key.column)}`, typeOf(key.column));
  if (keySql === null) {
    throw invalid(
      `Column ${key.column} of type ${typeOf(key.column)} cannot be the sync key`,
      "Use a text, integer, numeric, uuid, date or timestamp column, or cast it to text in the model",
    );
  }
  const fields = fieldsOf(sync, key, typeOf);
  const hashed = [
    ...new Set(sync.mappings.flatMap((mapping) => ("column" in mapping ? [mapping.column] : []))),
  ]
    .sort()
    .map((column) => hashExpression(`m.${pg.escapeIdentifier(column)}`, typeOf(column)));
  const hashSql = `hash_record_extended(ROW(${hashed.join(", ")}), 0)`;
  const from = fromClause(sync.object);
  const record = fields.map((field) => `${field.sql} AS ${pg.escapeIdentifier(field.name)}`).join(", ");
  return {
    fingerprint: fingerprintOf(sync, key),
    keysSql: `SELECT ${keySql} AS key, ${hashSql} AS hash FROM ${from}`,
    recordsSql: (keys) => {
      const where = keys === null ? "" : ` WHERE ${keySql} = ANY (${textArrayLiteral(keys)})`;
      // OFFSET 0 keeps the planner from writing the record's expression, and computing it, twice.
      return `SELECT key, hash, CASE WHEN octet_length(record) <= ${MAX_RECORD_BYTES} THEN record END
        FROM (SELECT ${keySql} AS key, ${hashSql} AS hash, row_to_json(r)::text AS record
              FROM ${from} CROSS JOIN LATERAL (SELECT ${record}) AS r${where} OFFSET 0) AS p`;
    },
  };
}
