/** Which column types can identify a row: those whose text form is the same for equal values. */

/** Types without their length or precision. Source: ours; behaviour.md 2.2, rule 7. */
const KEY_TYPES: ReadonlySet<string> = new Set([
  "text",
  "character varying",
  "character",
  "smallint",
  "integer",
  "bigint",
  "numeric",
  "uuid",
  "date",
  "timestamp without time zone",
  "timestamp with time zone",
]);

const REASONS: Readonly<Record<string, string>> = {
  boolean: "two values cannot tell rows apart",
  real: "equal floats can have different texts",
  "double precision": "equal floats can have different texts",
  json: "equal documents can have different texts",
  jsonb: "documents do not identify rows",
};

/**
 * Why a column of this type cannot be a sync key, with the fix; null when it can. `type` is spelled as Postgres'
 * format_type does, such as `character varying(3)`.
 */
export function keyTypeProblem(type: string): string | null {
  const base = type
    .replace(/\(\s*-?\d+\s*(,\s*-?\d+\s*)?\)/, "")
    .replace(/\s+/g, " ")
    .trim();
  if (KEY_TYPES.has(base)) return null;
  const reason = REASONS[base] ?? (base.endsWith("[]") ? "lists do not identify rows" : null);
  const because = reason === null ? "" : ` (${reason})`;
  return `a column of type ${type} cannot be the key${because}; choose a text, whole number, numeric, uuid, date or timestamp column, or cast it to text in the model`;
}
