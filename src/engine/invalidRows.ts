/** Rows of a plan whose record could not be made or sent: why, and where that is written down. */
import type pg from "pg";
import { type CompiledSync, MAX_RAW_BYTES, TOO_LONG } from "../sources/source.ts";

/** One row that is set aside. */
export interface InvalidRow {
  key: Buffer;
  /** At most 500 characters, and no value of the row. */
  message: string;
}

/** The record of a row as the source sent it (null: too long), or why there is none. */
export function recordOf(
  { buildRecord }: Pick<CompiledSync, "buildRecord">,
  raw: Buffer | null,
): { record: Buffer } | { invalid: string } {
  if (raw === null)
    return {
      invalid: buildRecord === undefined ? TOO_LONG : `The row is longer than ${MAX_RAW_BYTES} bytes`,
    };
  return buildRecord === undefined ? { record: raw } : buildRecord(raw);
}

/** Writes rows down as INVALID and returns how many they are. */
export async function recordInvalidRows(
  client: pg.PoolClient,
  runId: number,
  rows: readonly InvalidRow[],
): Promise<number> {
  if (rows.length === 0) return 0;
  await client.query(
    `INSERT INTO egret.invalid_rows (run_id, identifier, status, rows, message)
     SELECT $1, left(key, 200), 'INVALID', 1, message FROM unnest($2::text[], $3::text[]) AS k (key, message)`,
    [runId, rows.map(({ key }) => key.toString("utf8")), rows.map(({ message }) => message)],
  );
  return rows.length;
}
