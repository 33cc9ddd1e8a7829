/** What a sync's state stands for, part by part: two fingerprints tell what was changed in between. */
import { createHash } from "node:crypto";
import { KEY_FIELD, type Sync } from "../domain/configuration.ts";

/** Everything that decides which rows a destination should hold and how they look. Holds names and digests, no values. */
export interface Fingerprint {
  /** Of the row hash and of this shape. */
  version: 1;
  operation: string;
  /** The model, or the table with its schema. */
  object: string;
  destinationId: number;
  /** Column of the sync key. */
  key: string;
  /** What fills each field but the key's, as a digest. */
  fields: Record<string, string>;
  /** Source columns that the row hash is made of, in its order. */
  columns: readonly string[];
  /** Column by whose timestamps new rows are found; null: by key. */
  highWaterMark: string | null;
}

/** One field of a record; `source` is another text whenever the field is filled otherwise, whatever its name. */
export interface FieldSource {
  name: string;
  source: string;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** The fingerprint of a sync by its key column, the columns of its row hash, and the fields of its records. */
export function fingerprintOf(
  sync: Sync,
  { key, columns, fields }: Pick<Fingerprint, "key" | "columns"> & { fields: readonly FieldSource[] },
): Fingerprint {
  const { object } = sync;
  const digests = fields
    .filter(({ name }) => name !== KEY_FIELD)
    .map(({ name, source }) => [name, digest(source)] as const);
  return {
    version: 1,
    operation: sync.operation,
    object: JSON.stringify(
      object.type === "model" ? ["model", object.modelId] : ["table", object.schema, object.table],
    ),
    destinationId: sync.destination.id,
    key,
    fields: Object.fromEntries(digests.sort(([a], [b]) => (a < b ? -1 : 1))),
    columns,
    highWaterMark: sync.operation === "append" ? (sync.options.high_water_mark_attribute ?? null) : null,
  };
}
