/** Reads what became of each row of a run: rows set aside as the plan has them, and rows sent as their batches have them. */
import { type Kysely, sql } from "kysely";
import type { BatchOperation, BatchOutcome, Database } from "../projections/database.ts";
import { payloadsOf } from "./recordPayloads.ts";

/**
 * What became of a row. `unavailable`: it was sent and nobody knows whether it was taken, since its run failed then;
 * NULL, DUPLICATE and INVALID: it was set aside before sending. Source: behaviour.md 8.2, the rest ours.
 */
export const RECORD_STATUSES = [
  "succeeded",
  "rejected",
  "unavailable",
  "pending",
  "NULL",
  "DUPLICATE",
  "INVALID",
] as const;
export type RecordStatus = (typeof RECORD_STATUSES)[number];

/** Statuses of rows that were set aside. */
export const INVALID_STATUSES = ["NULL", "DUPLICATE", "INVALID"] as const satisfies readonly RecordStatus[];

/** One processed or invalid row of a run; names as in behaviour.md 8.2. */
export interface RowRecord {
  /** Null for rows whose key is NULL. */
  identifier: string | null;
  /** The record as it was sent, as JSON; null for a row that was set aside, and where the request does not tell it. */
  record_payload: string | null;
  /** Null for a row that was set aside. */
  operation: BatchOperation | null;
  status: RecordStatus;
  /** What the destination said, or why the row was set aside. */
  status_message: string | null;
  /** When the first request with the row began; null before the read models know. */
  batch_started_at: Date | null;
  batch_completed_at: Date | null;
  sync_configuration_id: number;
  sync_run_id: number;
  /** Rows of the source that this stands for: more than one where they share a key, or have none. */
  rows: number;
  /** Its place, from which a page can go on. */
  cursor: string;
}

/** Which rows of which run; what is left out narrows nothing. */
export interface RecordFilter {
  runId: number;
  syncId: number;
  statuses?: readonly RecordStatus[] | undefined;
  /** The exact key. */
  identifier?: string | undefined;
  operation?: BatchOperation | undefined;
}

/** Where a row stands: rows set aside first, then the batches in their order, halves behind what was planned. */
type Place = { invalidId: number } | { batchNo: number; index: number };

/** Batches read at once at first; later as many as make about so many bytes, going by those before. */
const FIRST_BATCHES = 4;
const MOST_BATCHES = 2_000;
const READ_BYTES = 2 << 20;
const INVALID_ROWS = 2_000;
/** What egret.invalid_rows keeps of a key, characters. */
const KEPT_KEY = 200;

/**
 * Rows in a stable order, some at a time, so that a run of any size fits in memory. Rows of a batch that was split stand
 * in its halves; rows that were never sent, and those that are no longer kept, are left out.
 */
export async function* readRecords(
  db: Kysely<Database>,
  filter: RecordFilter,
  after?: string,
): AsyncGenerator<RowRecord[]> {
  const place = after === undefined ? null : parseCursor(after);
  if (place === null || "invalidId" in place) yield* invalidRecords(db, filter, place?.invalidId ?? 0);
  yield* sentRecords(db, filter, place !== null && "batchNo" in place ? place : { batchNo: 1, index: -1 });
}

/** The place that a cursor names; null for a text that is none. */
export function parseCursor(cursor: string): Place | null {
  const [, invalidId, batchNo, index] = /^(?:i(\d{1,15})|b(\d{1,9})\.(\d{1,9}))$/.exec(cursor) ?? [];
  if (invalidId !== undefined) return { invalidId: Number(invalidId) };
  return batchNo === undefined ? null : { batchNo: Number(batchNo), index: Number(index) };
}

async function* invalidRecords(
  db: Kysely<Database>,
  { runId, syncId, statuses = INVALID_STATUSES, identifier, operation }: RecordFilter,
  afterId: number,
): AsyncGenerator<RowRecord[]> {
  const wanted = INVALID_STATUSES.filter((status) => statuses.includes(status));
  if (wanted.length === 0 || operation !== undefined) return;
  for (let last = afterId; ; ) {
    let query = db
      .selectFrom("egret.invalid_rows")
      .select(["id", "identifier", "status", "rows", "message"])
      .where("run_id", "=", runId)
      .where("status", "in", wanted)
      .where("id", ">", last);
    if (identifier !== undefined)
      query = query.where("identifier", "=", sql<string>`left(${identifier}, ${sql.lit(KEPT_KEY)})`);
    const found = await query.orderBy("id").limit(INVALID_ROWS).execute();
    if (found.length > 0) {
      yield found.map(({ id, identifier: key, status, rows, message }) => ({
        identifier: key,
        record_payload: null,
        operation: null,
        status,
        status_message: message ?? reasonOf(status, rows),
        batch_started_at: null,
        batch_completed_at: null,
        sync_configuration_id: syncId,
        sync_run_id: runId,
        rows,
        cursor: `i${id}`,
      }));
    }
    if (found.length < INVALID_ROWS) return;
    last = found.at(-1)?.id ?? last;
  }
}

function reasonOf(status: (typeof INVALID_STATUSES)[number], rows: number): string {
  if (status === "NULL") return rows === 1 ? "The key is NULL" : `The key of ${rows} rows is NULL`;
  return status === "DUPLICATE" ? `${rows} rows have this key` : "The key is too long";
}

/** One batch with its rows. */
interface RecordedBatch {
  batch_no: number;
  name: string | null;
  destination_id: number;
  operation: BatchOperation;
  outcome: BatchOutcome | null;
  status_message: string | null;
  settled_at: Date | null;
  records: number;
  keys: string[] | null;
  row_errors: (string | null)[] | null;
  body: Buffer | null;
  source_records: Buffer | null;
  request: string | null;
}

async function* sentRecords(
  db: Kysely<Database>,
  filter: RecordFilter,
  from: { batchNo: number; index: number },
): AsyncGenerator<RowRecord[]> {
  const { runId, statuses = RECORD_STATUSES } = filter;
  if (!statuses.some((status) => !isInvalid(status))) return;
  let limit = FIRST_BATCHES;
  for (let next = from.batchNo; ; ) {
    const batches = await batchesFrom(db, filter, { batchNo: next, limit });
    const startedAt = await firstAttempts(db, runId, batches);
    const found = batches.flatMap((batch) => {
      const rows = rowsOf(batch, filter, startedAt.get(nameOf(batch)) ?? null);
      const wanted = batch.batch_no === from.batchNo ? rows.filter(isBehind(from.index)) : rows;
      return wanted.map(({ record }) => record);
    });
    if (found.length > 0) yield found;
    if (batches.length < limit) return;
    next = (batches.at(-1)?.batch_no ?? next) + 1;
    const bytes = batches.reduce((sum, batch) => sum + sizeOf(batch), 0);
    limit = Math.min(MOST_BATCHES, Math.max(1, Math.floor((READ_BYTES * batches.length) / bytes)));
  }
}

const isInvalid = (status: RecordStatus): boolean =>
  (INVALID_STATUSES as readonly RecordStatus[]).includes(status);
const isBehind =
  (index: number) =>
  (row: { index: number }): boolean =>
    row.index > index;
const nameOf = ({ name, batch_no }: RecordedBatch): string => name ?? String(batch_no);
/** With what an array of short texts costs beside its letters. */
const sizeOf = ({ body, source_records: records, keys }: RecordedBatch): number =>
  1_000 + (body?.length ?? 0) + (records?.length ?? 0) + 100 * (keys?.length ?? 0);

/** Outcomes of batches whose rows can have one of the statuses. Of an accepted batch some rows may have been refused. */
const OUTCOME_OF: Partial<Record<RecordStatus, string>> = {
  succeeded: "outcome = 'accepted' and rejected_records < records",
  rejected: "(outcome = 'rejected' or outcome = 'accepted' and rejected_records > 0)",
  unavailable: "outcome = 'unavailable'",
  pending: "outcome is null",
};

async function batchesFrom(
  db: Kysely<Database>,
  { runId, statuses = RECORD_STATUSES, identifier, operation }: RecordFilter,
  { batchNo, limit }: { batchNo: number; limit: number },
): Promise<RecordedBatch[]> {
  const outcomes = statuses.flatMap((status) => OUTCOME_OF[status] ?? []).map((text) => `(${text})`);
  let query = db
    .selectFrom("egret.batches")
    .select(["batch_no", "name", "destination_id", "operation", "outcome", "status_message", "settled_at"])
    .select(["records", "keys", "row_errors", "body", "source_records", "request"])
    .where("run_id", "=", runId)
    .where("batch_no", ">=", batchNo)
    .where("keys", "is not", null)
    .where(sql<boolean>`(${sql.raw(outcomes.join(" or "))})`);
  if (operation !== undefined) query = query.where("operation", "=", operation);
  if (identifier !== undefined) query = query.where(sql<boolean>`${identifier} = any (keys)`);
  return query.orderBy("batch_no").limit(limit).execute();
}

/** When the first request of each batch began, by the batch's name. */
async function firstAttempts(
  db: Kysely<Database>,
  runId: number,
  batches: readonly RecordedBatch[],
): Promise<Map<string, Date>> {
  if (batches.length === 0) return new Map();
  const rows = await db
    .selectFrom("egret_read.attempts")
    .select(["delivery_id", ({ fn }) => fn.min("started_at").as("started_at")])
    .where("run_id", "=", runId)
    .where("target_kind", "=", "destination")
    .where("target_id", "in", [...new Set(batches.map((batch) => batch.destination_id))])
    .where(sql<boolean>`delivery_id = any (${batches.map((batch) => `${runId}-${nameOf(batch)}`)}::text[])`)
    .groupBy("delivery_id")
    .execute();
  return new Map(
    rows.map(({ delivery_id: id, started_at: at }) => [id.slice(id.lastIndexOf("-") + 1), new Date(at)]),
  );
}

function rowsOf(
  batch: RecordedBatch,
  { runId, syncId, statuses = RECORD_STATUSES, identifier }: RecordFilter,
  startedAt: Date | null,
): { index: number; record: RowRecord }[] {
  const { keys, outcome, row_errors: errors, status_message: message, source_records: sourceRecords } = batch;
  const payloads = payloadsOf({ ...batch, sourceRecords });
  const found: { index: number; record: RowRecord }[] = [];
  for (const [index, key] of (keys ?? []).entries()) {
    if (identifier !== undefined && key !== identifier) continue;
    const error = outcome === null ? null : (errors?.[index] ?? null);
    const status = statusOf(outcome, error);
    if (!statuses.includes(status)) continue;
    const record: RowRecord = {
      identifier: key,
      record_payload: payloads?.[index] ?? null,
      operation: batch.operation,
      status,
      status_message: error ?? message,
      batch_started_at: startedAt,
      batch_completed_at: batch.settled_at,
      sync_configuration_id: syncId,
      sync_run_id: runId,
      rows: 1,
      cursor: `b${batch.batch_no}.${index}`,
    };
    found.push({ index, record });
  }
  return found;
}

function statusOf(outcome: BatchOutcome | null, error: string | null): RecordStatus {
  if (outcome === null) return "pending";
  if (outcome === "accepted") return error === null ? "succeeded" : "rejected";
  return outcome === "unavailable" ? "unavailable" : "rejected";
}
