/** What the management API keeps goes when nobody can ask for it any more. */
import type pg from "pg";
import { IDEMPOTENCY_HOURS } from "./idempotency.ts";

/** Entries of the audit stay for so long, days: over a year, so that a yearly review finds all of it. Source: ours. */
const AUDIT_DAYS = 400;

/** Rows per statement: each holds its locks for some milliseconds. */
const CHUNK_ROWS = 5_000;

/** Deletes in bounded chunks, or counts; names each table. */
export async function purgeApi(
  pool: pg.Pool,
  { nowMs, isDryRun, signal }: { nowMs: number; isDryRun: boolean; signal?: AbortSignal | undefined },
): Promise<{ table: string; rows: number }[]> {
  const hoursAgo = (hours: number) => new Date(nowMs - hours * 3_600_000);
  const old = [
    { table: "egret.api_idempotency", column: "begun_at", before: hoursAgo(IDEMPOTENCY_HOURS) },
    { table: "egret.api_audit", column: "at", before: hoursAgo(AUDIT_DAYS * 24) },
  ];
  const purged: { table: string; rows: number }[] = [];
  for (const { table, column, before } of old) {
    if (isDryRun) {
      const query = `select count(*) as rows from ${table} where ${column} < $1`;
      const { rows } = await pool.query<{ rows: number }>(query, [before]);
      purged.push({ table, rows: rows[0]?.rows ?? 0 });
      continue;
    }
    let rows = 0;
    let gone: number;
    do {
      signal?.throwIfAborted();
      const { rowCount } = await pool.query(
        `delete from ${table} where ctid = any(array(
           select ctid from ${table} where ${column} < $1 limit ${CHUNK_ROWS} for update skip locked))`,
        [before],
      );
      gone = rowCount ?? 0;
      rows += gone;
    } while (gone === CHUNK_ROWS);
    purged.push({ table, rows });
  }
  return purged;
}
