/** How each Postgres type is written as a key, hashed for the diff, and shown in a record. */
import type { TimestampFormat } from "../domain/instantText.ts";

/** The bare name of a type: `timestamp(3) without time zone` is `timestamp without time zone`. */
export function baseType(type: string): string {
  const bare = type.replace(/\(\d+(,-?\d+)?\)/, "");
  return /(^|\.)citext$/.test(bare) ? "citext" : bare;
}

const TEXT_TYPES = new Set(["text", "character varying", "character", "citext"]);

/** ISO 8601 text; `to_json` writes it whatever DateStyle is, and knows infinity and BC. */
const isoText = (column: string) => `to_json(${column}) #>> '{}'`;

const KEY_TEXT: Record<string, (column: string) => string> = {
  smallint: (column) => `${column}::text`,
  integer: (column) => `${column}::text`,
  bigint: (column) => `${column}::text`,
  numeric: (column) => `trim_scale(${column})::text`,
  uuid: (column) => `${column}::text`,
  date: isoText,
  "timestamp without time zone": isoText,
  "timestamp with time zone": (column) => `replace(${isoText(column)}, '+00:00', 'Z')`,
};

/** SQL of the canonical text of a key column, or null when the type cannot be a key. Source: ours; behaviour.md 2.2.7. */
export function keyExpression(column: string, type: string): string | null {
  const base = baseType(type);
  // "C" compares bytes: a source whose collation ignores case would take two keys for one.
  if (TEXT_TYPES.has(base)) return `${column}::text COLLATE "C"`;
  const text = KEY_TEXT[base];
  return text === undefined ? null : `(${text(column)}) COLLATE "C"`;
}

/** Texts that are certainly values of a type whose equality is that of its texts. */
const KEY_LITERAL: Record<string, RegExp> = {
  smallint: /^-?\d{1,4}$/,
  integer: /^-?\d{1,9}$/,
  bigint: /^-?\d{1,18}$/,
  uuid: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/,
};

/** Whether a key column may be compared with these keys as what it is, which an index of the source answers. */
export function isKeyLiteral(type: string, keys: readonly string[]): boolean {
  const literal = KEY_LITERAL[baseType(type)];
  return literal !== undefined && keys.every((key) => literal.test(key));
}

/** Types whose own hash function sees every difference that a record shows, and nothing else. */
const HASHED_AS_THEY_ARE = new Set([
  "boolean",
  "smallint",
  "integer",
  "bigint",
  "real",
  "double precision",
  "numeric",
  "uuid",
  "date",
  "timestamp without time zone",
  "timestamp with time zone",
  "time without time zone",
  "bytea",
  "jsonb",
  "inet",
]);

/**
 * SQL of a column as it enters the row hash. Text is compared byte by byte: citext and case-blind collations hash
 * `A` and `a` alike. Types without a hash function (point), or whose hash calls different texts equal (interval),
 * go in as text, which the session's settings pin.
 */
export function hashExpression(column: string, type: string): string {
  const base = baseType(type);
  if (HASHED_AS_THEY_ARE.has(base)) return column;
  if (base === "json") return `${column}::jsonb`;
  return `${column}::text COLLATE "C"`;
}

/** Largest integer that every JSON reader keeps exact. */
const EXACT = Number.MAX_SAFE_INTEGER;

type ValueSql = (column: string) => string;

const VALUES: Record<string, ValueSql> = {
  bigint: (column) =>
    `CASE WHEN ${column} BETWEEN -${EXACT} AND ${EXACT} THEN to_json(${column}) ELSE to_json(${column}::text) END`,
  // scale() of NaN and Infinity is NULL, so they are texts as well.
  numeric: (column) =>
    `CASE WHEN scale(${column}) = 0 AND abs(${column}) <= ${EXACT} THEN to_json(${column}) ELSE to_json(${column}::text) END`,
  bytea: (column) => `translate(encode(${column}, 'base64'), E'\\n', '')`,
};

const ZONELESS = "timestamp without time zone";
const ZONED = "timestamp with time zone";

const TIMESTAMPS: Record<TimestampFormat, Record<string, ValueSql>> = {
  space_separated: {
    [ZONELESS]: (column) => `${column}::text`,
    [ZONED]: (column) =>
      `CASE WHEN isfinite(${column}) THEN (${column} AT TIME ZONE 'UTC')::text || ' UTC' ELSE ${column}::text END`,
  },
  iso8601: {
    [ZONELESS]: isoText,
    [ZONED]: (column) => `replace(${isoText(column)}, '+00:00', 'Z')`,
  },
};

/** Whether values of a type look different in another timestamp format. */
export function isTimestamp(type: string): boolean {
  return Object.hasOwn(TIMESTAMPS.iso8601, baseType(type));
}

/**
 * SQL of a column's value in a record; row_to_json writes what comes out. Source: behaviour.md 5.4. Ours: bytea is
 * base64; NaN and Infinity are texts; what has no JSON form of its own is Postgres' text of it.
 */
export function valueExpression(column: string, type: string, format: TimestampFormat): string {
  const base = baseType(type);
  return (VALUES[base] ?? TIMESTAMPS[format][base])?.(column) ?? column;
}

/** Whether a type says how many digits behind the point its values show. */
const hasScale = (type: string) => /,[1-9]/.test(type);

/**
 * SQL of the key's value in a record. A numeric without a declared scale goes without trailing zeros, as its canonical
 * text does: a delete, and a change that writes 1.5 for 1.50, must name the row as it was named before.
 */
export function keyValueExpression(column: string, type: string, format: TimestampFormat): string {
  const isBare = baseType(type) === "numeric" && !hasScale(type);
  return valueExpression(isBare ? `trim_scale(${column})` : column, type, format);
}

const SCALARS = new Set([
  ...TEXT_TYPES,
  "boolean",
  "smallint",
  "integer",
  "bigint",
  "real",
  "double precision",
  "numeric",
  "uuid",
  "date",
  ZONELESS,
  ZONED,
]);

/** Whether a value of this type is surely a text, a number or a truth value in JSON, which reading it keeps exact. */
export function isScalar(type: string): boolean {
  return SCALARS.has(baseType(type));
}

/** SQL of a text as a JSON text. */
const quoted: ValueSql = (text) => `to_json((${text})::text)::text`;

/** JSON number where every reader keeps it exact, else a text of it. */
const exactNumber: ValueSql = (text) =>
  `CASE WHEN (${text}) ~ '^-?[0-9]{1,16}$' AND abs((${text})::numeric) <= ${EXACT} THEN (${text})::text ELSE ${quoted(text)} END`;

/** ISO 8601 as a key has it, with a space and the zone behind, as `::text` writes it. */
const spaced: ValueSql = (text) =>
  quoted(`regexp_replace(regexp_replace(${text}, '^([0-9-]+)T', '\\1 '), 'Z( BC)?$', '\\1 UTC')`);

/**
 * SQL, from SQL of a key's text, of the key's value in a record as JSON text: what a deleted row is told by, when the
 * row is not there any more.
 */
export function keyJsonExpression(text: string, type: string, format: TimestampFormat): string {
  const base = baseType(type);
  if (base === "smallint" || base === "integer" || base === "bigint") return exactNumber(text);
  if (base === "numeric") return hasScale(type) ? quoted(`(${text})::${type}`) : exactNumber(text);
  // A value of fixed length travels with its blanks, which are no part of its key.
  if (base === "character") return `to_json((${text})::${type})::text`;
  return isTimestamp(type) && format === "space_separated" ? spaced(text) : quoted(text);
}
