/** Types that a mapping can give a field, and how a value of the source becomes one. */
import { instantText, readInstant } from "./instantText.ts";

/** Nested JSON (behaviour.md 9.5) and the wire types of 9.6. */
export const FIELD_TYPES = [
  "object",
  "array",
  "boolean",
  "decimal",
  "float",
  "integer",
  "date",
  "date_time",
  "string",
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

/** JSON text of a cast value, or why it cannot be cast: words without the value. */
export type Cast = { json: string } | { fault: string };

const TRUE = new Set(["true", "t", "yes", "y", "on", "1"]);
const FALSE = new Set(["false", "f", "no", "n", "off", "0"]);
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** Null stays null. `text` is the value's own JSON text, which is passed on digit by digit where nesting is asked for. */
export function castValue(value: unknown, text: string, type: FieldType): Cast {
  if (value === null) return { json: "null" };
  if (type === "object" || type === "array") return castNested(value, text, type);
  if (type === "string") return { json: JSON.stringify(plainText(value, text)) };
  const cast = typeof value === "object" ? undefined : SCALARS[type](value as string | number | boolean);
  if (cast !== undefined) return { json: JSON.stringify(cast) };
  return { fault: `the value is no ${type}` };
}

function plainText(value: unknown, text: string): string {
  if (typeof value === "string") return value;
  return typeof value === "object" ? text : String(value);
}

type Scalar = Exclude<FieldType, "object" | "array" | "string">;

const SCALARS: Record<Scalar, (value: string | number | boolean) => string | number | boolean | undefined> = {
  boolean: (value) => {
    const word = String(value).trim().toLowerCase();
    return TRUE.has(word) ? true : FALSE.has(word) ? false : undefined;
  },
  decimal: (value) => {
    const digits = String(value).trim();
    return DECIMAL.test(digits) ? digits : undefined;
  },
  float: (value) => {
    const digits = String(value).trim();
    const number = DECIMAL.test(digits) ? Number(digits) : Number.NaN;
    return Number.isFinite(number) ? number : undefined;
  },
  integer: (value) => {
    const digits = String(value).trim();
    // Beyond 2^53 a reader of JSON would take a neighbour for it.
    const number = DECIMAL.test(digits) ? Number(digits) : Number.NaN;
    return Number.isSafeInteger(number) && !hasFraction(digits) ? number : undefined;
  },
  date: (value) => (typeof value === "string" ? readInstant(value)?.date : undefined),
  date_time: (value) => {
    const instant = typeof value === "string" ? readInstant(value) : null;
    return instant === null ? undefined : instantText(instant, "iso8601");
  },
};

/** `1.0000000000000000001` is the number 1 to JavaScript. */
function hasFraction(digits: string): boolean {
  return !/e/i.test(digits) && /\.\d*[1-9]/.test(digits);
}

/** Nested JSON as it stands, or JSON in a text. Source of the code: docs; behaviour.md 2.5. */
function castNested(value: unknown, text: string, type: "object" | "array"): Cast {
  const json = typeof value === "string" ? value.trim() : text;
  let nested: unknown = value;
  if (typeof value === "string") {
    try {
      nested = JSON.parse(json);
    } catch {
      nested = undefined;
    }
  }
  if (nested === null) return { json: "null" };
  const isMeant = typeof nested === "object" && Array.isArray(nested) === (type === "array");
  if (isMeant) return { json };
  return { fault: `JSON_${type.toUpperCase()}_ERROR: the value is no JSON ${type}` };
}
