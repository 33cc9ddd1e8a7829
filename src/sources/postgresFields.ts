/** The fields of a record, from the mappings of a sync and the columns that its source has now. */
import {
  KEY_FIELD,
  MAX_FIELD_BYTES,
  type Mapping,
  type METADATA_FIELDS,
  type Sync,
} from "../domain/configuration.ts";
import { InvalidInput, RunFailure } from "../domain/errors.ts";
import { mappingsFor } from "../domain/fieldNames.ts";
import { instantOf, instantText, readInstant, type TimestampFormat } from "../domain/instantText.ts";
import { parseTemplate, type Template } from "../domain/liquid.ts";
import type { RecordField } from "./postgresRecord.ts";
import { isTimestamp } from "./postgresTypes.ts";
import type { RunFacts } from "./source.ts";

type ColumnMapping = Extract<Mapping, { column: string }>;

/** A mapping as a run performs it. */
export interface Field {
  /** Name in the record. */
  name: string;
  /** Source column, or the field's own name where there is none: what the fields are ordered by. */
  order: string;
  from: RecordField;
  /** Source columns that decide its value. */
  columns: readonly string[];
  /** Another text whenever the field is filled otherwise. */
  source: string;
}

function invalid(message: string, detail: string): RunFailure {
  return new RunFailure("CONFIG_INVALID", message, detail);
}

/** The mapping of the sync key: there is one, and it is a column. */
export function keyMapping(sync: Sync): ColumnMapping {
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
  const seen = new Map<string, Field>();
  for (const field of fields) {
    const { name } = field;
    if (Buffer.byteLength(name) > MAX_FIELD_BYTES || name.includes("\u0000")) {
      throw invalid(
        `Field name ${JSON.stringify(name)} is too long or holds a NUL`,
        `Use at most ${MAX_FIELD_BYTES} bytes`,
      );
    }
    const other = seen.get(name);
    if (other !== undefined) {
      const hint =
        name === KEY_FIELD
          ? `${KEY_FIELD} is the field of the sync key`
          : "Give each mapping a field of its own";
      throw invalid(`Two mappings write the field ${name}: of ${other.order} and of ${field.order}`, hint);
    }
    seen.set(name, field);
  }
}

/** By code unit, so that the order is the same everywhere. */
function byOrder(a: Field, b: Field): number {
  return a.order < b.order ? -1 : a.order > b.order ? 1 : 0;
}

/** What a sync's mappings are turned into fields with. */
interface FieldMaker {
  sync: Sync;
  key: ColumnMapping;
  /** Type of a column; `of` names the field whose template uses it. Throws when it is not there. */
  typeOf: (column: string, of?: string) => string;
}

/**
 * The fields in the order of the record.
 * @throws RunFailure SOURCE_COLUMN_MISSING or CONFIG_INVALID.
 */
export function fieldsOf(maker: FieldMaker, columns: readonly string[]): Field[] {
  const { sync } = maker;
  const fields = mappingsFor(sync.mappings, sync.options, columns).map((mapping) => fieldOf(mapping, maker));
  checkFieldNames(fields);
  return sync.options.field_order === "mapping_order" ? fields : fields.sort(byOrder);
}

function fieldOf(mapping: Mapping, maker: FieldMaker): Field {
  const { sync, typeOf } = maker;
  if ("column" in mapping) return columnField(mapping, maker);
  const { to: name } = mapping;
  if ("template" in mapping) {
    const template = compileTemplate(mapping, typeOf);
    const { columns } = template;
    const { field_type: type = null } = mapping;
    const source = sourceText({ template: mapping.template, type }, areStamped(columns, maker), sync);
    return { name, order: name, from: { kind: "template", name, template, type }, columns, source };
  }
  const literal = (json: (run: RunFacts) => string, definition: object, isStamped: boolean): Field => {
    const from: RecordField = { kind: "literal", name, json };
    return { name, order: name, from, columns: [], source: sourceText(definition, isStamped, sync) };
  };
  if ("metadata" in mapping) {
    const { metadata } = mapping;
    const json = (run: RunFacts) => JSON.stringify(metadataOf(metadata, sync, run));
    return literal(json, { metadata }, metadata === "sync_run_started_at");
  }
  const isDatetime = mapping.basic_type === "datetime";
  const json = JSON.stringify(constantOf(mapping, sync.options.timestamp_format));
  return literal(() => json, { constant: mapping.constant, isDatetime }, isDatetime);
}

function columnField(mapping: ColumnMapping, maker: FieldMaker): Field {
  const { column, to, sync_null_values: sendsNull = true, field_type: type = null } = mapping;
  maker.typeOf(column);
  const columns = [column];
  const isStamped = areStamped(columns, maker);
  // Whatever its mapping says, the key travels as `unique_id`, and not as another type. Source: seed; behaviour.md 5.4.
  if (mapping === maker.key) {
    const from: RecordField = { kind: "key", name: KEY_FIELD, column, sendsNull: true, type: null };
    return {
      name: KEY_FIELD,
      order: column,
      from,
      columns,
      source: sourceText({ column }, isStamped, maker.sync),
    };
  }
  const from: RecordField = { kind: "column", name: to, column, sendsNull, type };
  const source = sourceText({ column, sendsNull, type }, isStamped, maker.sync);
  return { name: to, order: column, from, columns, source };
}

function areStamped(columns: readonly string[], { typeOf }: FieldMaker): boolean {
  return columns.some((column) => isTimestamp(typeOf(column)));
}

/** Without the field's name, so that a renamed field is known by what fills it. */
function sourceText(definition: object, isStamped: boolean, { options }: Sync): string {
  return JSON.stringify([definition, isStamped ? options.timestamp_format : null]);
}

function compileTemplate(
  { template: text, to }: Extract<Mapping, { template: string }>,
  typeOf: FieldMaker["typeOf"],
): Template {
  let template: Template;
  try {
    template = parseTemplate(text, { columns: null, variable: "record" });
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw invalid(`The mapping of ${to} cannot be performed: ${error.message}`, "Mend the template");
  }
  for (const column of template.columns) typeOf(column, to);
  return template;
}

function metadataOf(field: (typeof METADATA_FIELDS)[number], sync: Sync, run: RunFacts): string | number {
  if (field === "sync_run_id") return run.runId;
  if (field === "sync_id") return sync.id;
  return instantText(instantOf(run.startedAt), sync.options.timestamp_format);
}

function constantOf(
  { constant, basic_type, to }: Extract<Mapping, { constant: unknown }>,
  format: TimestampFormat,
) {
  if (basic_type !== "datetime" || constant === null) return constant;
  const instant = readInstant(String(constant));
  if (instant === null)
    throw invalid(`The constant of ${to} is no date or timestamp`, "Write it as 2026-02-01T10:00:00Z");
  return instantText(instant, format);
}
