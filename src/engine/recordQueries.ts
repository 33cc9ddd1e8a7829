/** What people and the API ask of row-level records: a page, counts by status, a key over the runs of a sync. */
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";
import {
  RECORD_STATUSES,
  type RecordFilter,
  type RecordStatus,
  type RowRecord,
  readRecords,
} from "./records.ts";

/** One page: behind a cursor, or behind so many records from the first one. */
export interface RecordPage extends RecordFilter {
  /** Cursor of the last record of the page before. */
  after?: string | undefined;
  offset?: number | undefined;
  limit: number;
}

/** How many of one status. */
export interface RecordCount {
  /** Rows of the source. */
  rows: number;
  /** Records that a list has of them: rows that share a key are one, and so are rows whose key is NULL. */
  records: number;
}

/** Some records in their order. */
export async function listRecords(db: Kysely<Database>, page: RecordPage): Promise<RowRecord[]> {
  const { after, offset = 0, limit, ...filter } = page;
  const found: RowRecord[] = [];
  if (limit === 0) return found;
  const from = after === undefined ? await startOf(db, filter, offset) : { after, skip: 0 };
  if (from === null) return found;
  let skip = from.skip;
  for await (const records of readRecords(db, filter, from.after)) {
    const passed = Math.min(skip, records.length);
    skip -= passed;
    found.push(...records.slice(passed, passed + limit - found.length));
    if (found.length >= limit) break;
  }
  return found;
}

/** Passes over whole batches by what is counted of them, without reading their rows; null when there are no more. */
async function startOf(
  db: Kysely<Database>,
  filter: RecordFilter,
  offset: number,
): Promise<{ after?: string; skip: number } | null> {
  // Of one key there are few records, and which batches have it is not counted.
  if (offset === 0 || filter.identifier !== undefined) return { skip: offset };
  const counts = await countRecords(db, filter);
  const setAside = counts.NULL.records + counts.DUPLICATE.records + counts.INVALID.records;
  if (offset < setAside) return { skip: offset };
  const { statuses = RECORD_STATUSES, runId, operation } = filter;
  const wanted = (status: RecordStatus): number => (statuses.includes(status) ? 1 : 0);
  const { rows } = await sql<{ batch_no: number; before: number }>`
    select batch_no, before from (
      select batch_no, count, (sum(count) over (order by batch_no) - count)::bigint as before from (
        select batch_no, case outcome
            when 'accepted' then (records - rejected_records) * ${wanted("succeeded")} + rejected_records * ${wanted("rejected")}
            when 'rejected' then records * ${wanted("rejected")}
            when 'unavailable' then records * ${wanted("unavailable")}
            else records * ${wanted("pending")} end as count
        from egret.batches
        where run_id = ${runId} and keys is not null and operation = coalesce(${operation ?? null}, operation)
      ) as counted) as placed
    where before <= ${offset - setAside} and before + count > ${offset - setAside}`.execute(db);
  const [start] = rows;
  if (start === undefined) return null;
  return { after: `b${start.batch_no - 1}.${LAST_INDEX}`, skip: offset - setAside - start.before };
}

/** Behind the last row that any batch can have. */
const LAST_INDEX = 999_999_999;

/** Counts a run's rows by status, whether or not the rows themselves are still kept. */
export async function countRecords(
  db: Kysely<Database>,
  filter: RecordFilter,
): Promise<Record<RecordStatus, RecordCount>> {
  const nothing = RECORD_STATUSES.map((status) => [status, { rows: 0, records: 0 }]);
  const counts = Object.fromEntries(nothing) as Record<RecordStatus, RecordCount>;
  const add = (status: RecordStatus, rows: number, records = rows): void => {
    if (filter.statuses?.includes(status) === false) return;
    counts[status].rows += rows;
    counts[status].records += records;
  };
  if (filter.identifier !== undefined) {
    for await (const records of readRecords(db, filter))
      for (const { status, rows } of records) add(status, rows, 1);
    return counts;
  }
  let batches = db
    .selectFrom("egret.batches")
    .select(["outcome", sql<number>`sum(records)::bigint`.as("records")])
    .select(sql<number>`sum(rejected_records)::bigint`.as("refused"))
    .where("run_id", "=", filter.runId)
    .where(sql<boolean>`(outcome is null or outcome not in ('split', 'dropped'))`);
  if (filter.operation !== undefined) batches = batches.where("operation", "=", filter.operation);
  for (const { outcome, records, refused } of await batches.groupBy("outcome").execute()) {
    if (outcome === null) add("pending", records);
    else if (outcome === "unavailable") add("unavailable", records);
    else {
      const taken = outcome === "accepted" ? records - refused : 0;
      add("succeeded", taken);
      add("rejected", records - taken);
    }
  }
  if (filter.operation !== undefined) return counts;
  const invalid = await db
    .selectFrom("egret.invalid_rows")
    .select(["status", sql<number>`sum(rows)::bigint`.as("rows"), db.fn.countAll<number>().as("records")])
    .where("run_id", "=", filter.runId)
    .groupBy("status")
    .execute();
  for (const { status, rows, records } of invalid) add(status, rows, records);
  return counts;
}

/** False once retention has taken rows of the run, or when they were never kept. */
export async function areRecordsKept(db: Kysely<Database>, runId: number): Promise<boolean> {
  const plan = await db
    .selectFrom("egret.plans")
    .select("records_dropped_at")
    .where("run_id", "=", runId)
    .executeTakeFirst();
  if (plan === undefined || plan.records_dropped_at !== null) return false;
  const empty = await db
    .selectFrom("egret.batches")
    .select("batch_no")
    .where("run_id", "=", runId)
    .where("outcome", "in", ["accepted", "rejected", "unavailable"])
    .where("body", "is", null)
    .limit(1)
    .executeTakeFirst();
  return empty === undefined;
}

/** Runs of a sync that are searched for a key. */
const MOST_RUNS = 200;

/** What became of a key in the latest runs of a sync, newest run first. */
export async function findRecords(
  db: Kysely<Database>,
  wanted: { syncId: number; identifier: string; limit: number },
): Promise<RowRecord[]> {
  const { syncId, identifier, limit } = wanted;
  const runs = await db
    .selectFrom("egret_read.runs")
    .select("id")
    .where("sync_id", "=", syncId)
    .where("run_kind", "=", "normal")
    .orderBy("id", "desc")
    .limit(MOST_RUNS)
    .execute();
  const found: RowRecord[] = [];
  for (const { id: runId } of runs) {
    found.push(...(await listRecords(db, { runId, syncId, identifier, limit: limit - found.length })));
    if (found.length >= limit) break;
  }
  return found;
}
