/** Reads and writes rows of read models by the batch: one statement a table, however many rows. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { COPY_NULL, copyText } from "./copyText.ts";

/** A transaction's connection, and the schema that holds the read models it writes. */
export interface ReadModelWriter {
  client: pg.ClientBase;
  schema: string;
}

/** Postgres types that read models are made of. */
export type ColumnType =
  | "bigint"
  | "integer"
  | "double precision"
  | "boolean"
  | "text"
  | "text[]"
  | "timestamptz"
  | "jsonb";

/** A read model's table: its columns in order, and those of its primary key. */
export interface Table<Row> {
  name: string;
  key: readonly (keyof Row & string)[];
  /** Of a partitioned table: makes the partitions that rows lack. */
  makePartitions?: (writer: ReadModelWriter, rows: readonly Row[]) => Promise<void>;
  columns: { readonly [Column in keyof Row & string]: ColumnType };
}

/** Quoted name of a table. */
export function tableName(writer: ReadModelWriter, table: { name: string }): string {
  return `${pg.escapeIdentifier(writer.schema)}.${pg.escapeIdentifier(table.name)}`;
}

/** Rows of a table by its single numeric key. */
export async function loadRows<Row extends { id: number }>(
  writer: ReadModelWriter,
  table: Table<Row>,
  ids: Iterable<number>,
): Promise<Map<number, Row>> {
  const { rows } = await writer.client.query<Row>(
    `select ${Object.keys(table.columns).join(", ")} from ${tableName(writer, table)} where id = any($1::bigint[])`,
    [arrayLiteral([...ids])],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Writes rows in one statement; a row that exists is replaced, or left as it is. No two rows may share a key. */
export async function writeRows<Row extends object>(
  writer: ReadModelWriter,
  table: Table<Row>,
  rows: readonly Row[],
  ifExists: "replace" | "leave" = "replace",
): Promise<void> {
  if (rows.length === 0) return;
  const changing = columnsOf(table).filter((column) => !table.key.includes(column));
  const action =
    ifExists === "leave"
      ? "nothing"
      : `update set ${changing.map((column) => `${column} = excluded.${column}`).join(", ")}`;
  await insertRows(writer, table, rows, `on conflict (${table.key.join(", ")}) do ${action}`);
}

/**
 * Writes rows that are as good as always new, by COPY: an insert costs twice as much, and one that looks for conflicts four
 * times. Only when a row does exist is it taken back and the rows replaced. The same with partitions: that one is
 * missing, which happens about once a day, is learned from the COPY that fails.
 */
export async function writeNewRows<Row extends object>(
  writer: ReadModelWriter,
  table: Table<Row>,
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) return;
  await writer.client.query("savepoint new_rows");
  try {
    await copyRows(writer, table, rows);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const makePartitions = code === NO_PARTITION ? table.makePartitions : undefined;
    if (code !== UNIQUE_VIOLATION && makePartitions === undefined) throw error;
    await writer.client.query("rollback to savepoint new_rows");
    await makePartitions?.(writer, rows);
    await writeRows(writer, table, rows);
  }
  await writer.client.query("release savepoint new_rows");
}

const UNIQUE_VIOLATION = "23505";
/** Of a row that fits no partition; no read model has a check of its own. */
const NO_PARTITION = "23514";

async function copyRows<Row extends object>(
  { client, schema }: ReadModelWriter,
  table: Table<Row>,
  rows: readonly Row[],
): Promise<void> {
  const columns = columnsOf(table);
  const into = `${tableName({ client, schema }, table)} (${columns.join(", ")})`;
  const lines = rows.map((row) => `${columns.map((column) => copied(row[column])).join("\t")}\n`);
  await pipeline(
    Readable.from([lines.join("")], { objectMode: false }),
    client.query(copyStreams.from(`copy ${into} from stdin`)),
  );
}

/** A value as COPY reads it. */
function copied(value: unknown): string {
  if (value === null || value === undefined) return COPY_NULL;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return copyText(storable(value));
  if (value instanceof Date) return value.toISOString();
  throw new TypeError("a row that is copied holds numbers, texts, instants and truth values");
}

async function insertRows<Row extends object>(
  writer: ReadModelWriter,
  table: Table<Row>,
  rows: readonly Row[],
  onConflict: string,
): Promise<void> {
  const columns = columnsOf(table);
  const picked = columns.map((column) =>
    // unnest would flatten an array of arrays, so each travels as JSON.
    table.columns[column] === "text[]" ? `array(select jsonb_array_elements_text(${column}))` : column,
  );
  await writer.client.query(
    `insert into ${tableName(writer, table)} (${columns.join(", ")})
     select ${picked.join(", ")} from ${unnestRows(table.columns)} ${onConflict}`,
    columnArrays(table.columns, rows),
  );
}

function columnsOf<Row>(table: Table<Row>): (keyof Row & string)[] {
  return Object.keys(table.columns) as (keyof Row & string)[];
}

/** SQL: the parameters made by `columnArrays` as rows of a relation `given`. */
export function unnestRows<Row>(columns: Table<Row>["columns"]): string {
  const types = Object.values<ColumnType>(columns);
  const parameters = types.map((type, index) => `$${index + 1}::${type === "text[]" ? "jsonb" : type}[]`);
  return `unnest(${parameters.join(", ")}) as given(${Object.keys(columns).join(", ")})`;
}

/** One Postgres array per column, in the order of the columns. */
export function columnArrays<Row extends object>(
  columns: Table<Row>["columns"],
  rows: readonly Row[],
): string[] {
  return (Object.keys(columns) as (keyof Row & string)[]).map((column) =>
    arrayLiteral(rows.map((row) => row[column])),
  );
}

/** A Postgres array literal. Written here since the driver's own is several times slower on wide batches. */
export function arrayLiteral(values: readonly unknown[]): string {
  return `{${values.map(element).join(",")}}`;
}

function element(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value instanceof Date) return `"${value.toISOString()}"`;
  const text = typeof value === "string" ? storable(value) : JSON.stringify(value, storableLeaf);
  return /["\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, "\\$&")}"` : `"${text}"`;
}

/** Postgres text takes neither NUL nor half a surrogate pair; one such event must not stop a stream for ever. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function storableLeaf(_key: string, value: unknown): unknown {
  return typeof value === "string" ? storable(value) : value;
}
