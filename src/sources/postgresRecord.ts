/** SQL of a record: whole where Postgres can make it, else the parts of a raw row that `recordBuilder` completes. */
import pg from "pg";
import type { FieldType } from "../domain/fieldTypes.ts";
import type { TimestampFormat } from "../domain/instantText.ts";
import type { Template } from "../domain/liquid.ts";
import { isScalar, keyValueExpression, valueExpression } from "./postgresTypes.ts";
import { type Input, type MadeField, type Recipe, SEPARATOR } from "./recordBuilder.ts";
import type { RunFacts } from "./source.ts";

/** A field of the record and where its value comes from; `key` is the column of the sync key, never null. */
export type RecordField = { name: string } & (
  | { kind: "column" | "key"; column: string; sendsNull: boolean; type: FieldType | null }
  | { kind: "literal"; json: (run: RunFacts) => string }
  | { kind: "template"; template: Template; type: FieldType | null }
);

/** What a source knows of its columns. */
export interface RecordColumns {
  typeOf(column: string): string;
  format: TimestampFormat;
}

/** SQL of a record over the alias `m` of its row: an expression, and the joins that it needs. */
export interface RecordSql {
  joins: string;
  expression: string;
}

/** How the records of a sync are made. */
export interface RecordPlan {
  sql(run: RunFacts): RecordSql;
  /** Null when the expression is the whole record. */
  recipe: Recipe | null;
}

/** Fields that follow one another and that Postgres makes: together in one object, or one that a null leaves out. */
type Part = { whole: RecordField[] } | { optional: RecordField };
/** Parts that follow one another, which is one part of a raw row; or a field to make. */
type Piece = { parts: Part[] } | { made: MadeField };

/** Decides who makes which field, in the given order. */
export function planRecord(fields: readonly RecordField[], columns: RecordColumns): RecordPlan {
  const inputs: Input[] = [];
  const pieces: Piece[] = [];
  for (const field of fields) {
    const made = madeField(field, inputs, columns);
    if (made !== null) pieces.push({ made });
    else addPart(pieces, field);
  }
  const isMade = inputs.length > 0 || pieces.some((piece) => "made" in piece);
  const recipe = {
    inputs,
    pieces: pieces.map((piece) => ("made" in piece ? piece.made : ("part" as const))),
  };
  return {
    recipe: isMade ? recipe : null,
    sql: (run) => {
      const joins = new Joins(columns, run);
      const parts = pieces.flatMap((piece) => ("parts" in piece ? [piece.parts] : []));
      const [only] = parts.length === 1 ? (parts[0] ?? []) : [];
      if (!isMade && only !== undefined && "whole" in only && parts[0]?.length === 1)
        return { expression: joins.object(only.whole), joins: joins.sql };
      const texts = parts.map((each) => joins.fields(each));
      const expression = isMade
        ? [...texts, joins.inputs(inputs)].join(` || ${pg.escapeLiteral(SEPARATOR)} || `)
        : `'{' || ${texts.join(" || ") || "''"} || '}'`;
      return { expression, joins: joins.sql };
    },
  };
}

/** A field that needs more than SQL, its inputs added to the list; null for any other. */
function madeField(field: RecordField, inputs: Input[], { typeOf }: RecordColumns): MadeField | null {
  const inputOf = (column: string, form: Input["form"]): number => {
    const known = inputs.findIndex((input) => input.column === column && input.form === form);
    return known >= 0 ? known : inputs.push({ column, form }) - 1;
  };
  if (field.kind === "template") {
    for (const column of field.template.columns) inputOf(column, "value");
    return { name: field.name, from: field.template, type: field.type, sendsNull: true };
  }
  if (field.kind !== "column" || field.type === null) return null;
  const form = isScalar(typeOf(field.column)) ? "value" : "json";
  const { name, type, sendsNull } = field;
  return { name, from: inputOf(field.column, form), type, sendsNull };
}

function addPart(pieces: Piece[], field: RecordField): void {
  const last = pieces.at(-1);
  const parts = last !== undefined && "parts" in last ? last.parts : [];
  if (parts.length === 0) pieces.push({ parts });
  const before = parts.at(-1);
  if (field.kind === "column" && !field.sendsNull) parts.push({ optional: field });
  else if (before !== undefined && "whole" in before) before.whole.push(field);
  else parts.push({ whole: [field] });
}

/** Postgres takes no more arguments than this for one call of a function. */
const MAX_ARGUMENTS = 99;

/** Planning hundreds of joins takes Postgres seconds; after so many, fields are written one by one, which is slower to run. */
const MAX_JOINS = 20;

/** Expressions over a row, and the lateral joins behind them: row_to_json names a field as the join's column is named. */
class Joins {
  sql = "";
  readonly #columns: RecordColumns;
  readonly #run: RunFacts;
  #count = 0;

  constructor(columns: RecordColumns, run: RunFacts) {
    this.#columns = columns;
    this.#run = run;
  }

  /** JSON text of an object of fields. */
  object(fields: readonly RecordField[]): string {
    return this.#row(fields.map((field) => [this.#value(field), field.name]));
  }

  /** JSON text of the inputs. */
  inputs(inputs: readonly Input[]): string {
    const values = inputs.map(({ column, form }, place): [string, string] => {
      const value = this.#columnValue(column);
      return [form === "json" ? `to_json(${value})::text` : value, String(place)];
    });
    return values.length === 0 ? "'{}'" : this.#row(values);
  }

  /** Text of some fields as they stand between braces; never NULL. */
  fields(parts: readonly Part[]): string {
    const [first, ...others] = parts.map((part) => {
      if ("optional" in part) return this.#text(part.optional, (json) => `nullif(${json}, 'null')`);
      if (this.#count < MAX_JOINS) return `left(substr(${this.object(part.whole)}, 2), -1)`;
      return joined(part.whole.map((field) => this.#text(field, (json) => `coalesce(${json}, 'null')`)));
    });
    if (others.length === 0 && parts.every((part) => "whole" in part)) return first ?? "''";
    return joined([first ?? "''", ...others]);
  }

  /** Text of one field, its JSON text passed through `orNull`; NULL when that is. */
  #text(field: RecordField, orNull: (json: string) => string): string {
    const json = `btrim(to_json(${this.#value(field)})::text, E' \\t\\n\\r')`;
    return `${pg.escapeLiteral(`${JSON.stringify(field.name)}:`)} || ${orNull(json)}`;
  }

  #row(values: readonly [sql: string, name: string][]): string {
    const alias = this.#count === 0 ? "r" : `r${this.#count}`;
    this.#count += 1;
    const list = values.map(([sql, name]) => `${sql} AS ${pg.escapeIdentifier(name)}`).join(", ");
    this.sql += ` CROSS JOIN LATERAL (SELECT ${list}) AS ${alias}`;
    return `row_to_json(${alias})::text`;
  }

  #value(field: RecordField): string {
    if (field.kind === "column") return this.#columnValue(field.column);
    if (field.kind === "key") return this.#columnValue(field.column, keyValueExpression);
    return field.kind === "literal" ? `${pg.escapeLiteral(field.json(this.#run))}::json` : "NULL";
  }

  #columnValue(column: string, expression = valueExpression): string {
    const { typeOf, format } = this.#columns;
    return expression(`m.${pg.escapeIdentifier(column)}`, typeOf(column), format);
  }
}

/** Texts with commas between them, NULLs and empty texts left out. */
function joined(texts: readonly string[]): string {
  if (texts.length <= MAX_ARGUMENTS) return `concat_ws(',', ${texts.join(", ")})`;
  const groups: string[] = [];
  for (let at = 0; at < texts.length; at += MAX_ARGUMENTS)
    groups.push(`nullif(${joined(texts.slice(at, at + MAX_ARGUMENTS))}, '')`);
  return joined(groups);
}
