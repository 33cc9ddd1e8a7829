/** How each Postgres type is written as a key, hashed for the diff, and shown in a record. */

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

const VALUES: Record<string, (column: string) => string> = {
  bigint: (column) =>
    `CASE WHEN ${column} BETWEEN -${EXACT} AND ${EXACT} THEN to_json(${column}) ELSE to_json(${column}::text) END`,
  // scale() of NaN and Infinity is NULL, so they are texts as well.
  numeric: (column) =>
    `CASE WHEN scale(${column}) = 0 AND abs(${column}) <= ${EXACT} THEN to_json(${column}) ELSE to_json(${column}::text) END`,
  "timestamp without time zone": (column) => `${column}::text`,
  "timestamp with time zone": (column) =>
    `CASE WHEN isfinite(${column}) THEN (${column} AT TIME ZONE 'UTC')::text || ' UTC' ELSE ${column}::text END`,
  bytea: (column) => `translate(encode(${column}, 'base64'), E'\\n', '')`,
};

/**
 * SQL of a column's value in a record; row_to_json writes what comes out. Source: behaviour.md 5.4. Ours: bytea is
 * base64; NaN and Infinity are texts; what has no JSON form of its own is Postgres' text of it.
 */
export function valueExpression(column: string, type: string): string {
  return VALUES[baseType(type)]?.(column) ?? column;
}
