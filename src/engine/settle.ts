/** Reads batches to send and writes down what became of them; state advances in the same transaction, and only by acceptance. */
import { type Kysely, sql } from "kysely";
import pg from "pg";
import type { BatchOutcome, Database, OpenDatabase } from "../projections/database.ts";
import { copyOutRows } from "./copyOutRows.ts";
import type { CutBody } from "./cutBody.ts";
import { type AcceptedAtOnce, BEFORE_AT_ONCE, IS_OPEN, settleAtOnce } from "./settleAtOnce.ts";
import { splitBatch } from "./splitBatch.ts";
import { acceptRows, doubtRows, lockJournals, rejectRows } from "./stateAdvance.ts";
import { BATCH_IN_HAND, type BatchInHand } from "./stateHome.ts";
import { inTransactionFrom } from "./transaction.ts";

/** One batch as it is sent. */
export interface BatchToSend {
  batchNo: number;
  /** The exact bytes; null once it is settled or withdrawn: then nobody is to send them any more. */
  body: Buffer | null;
  bodySha256: string;
  records: number;
  /** Null while it is open. */
  outcome: BatchOutcome | null;
  /** Method, path and content type as JSON, where a body is not all of a request; null for a webhook. */
  request: string | null;
}

/** What became of one batch. */
export interface Settlement {
  runId: number;
  batchNo: number;
  outcome: BatchOutcome;
  /** The destination's own words, for people who look at rejected rows. */
  statusMessage: string | null;
  /** The sync of the batch, where it is known at no cost: outcomes of one sync are written down more quickly. */
  syncId?: number;
  /** Cuts a rejected batch of several rows in two instead, so that one bad row does not keep the others out. */
  cutBody?: CutBody | undefined;
}

/** Batches and records with one outcome. */
export interface Total {
  batches: number;
  records: number;
}

/** What became of a run's batches so far; `open` ones have no outcome yet. One that was split counts as its halves. */
export type RunTotals = Record<"open" | Exclude<BatchOutcome, "split">, Total>;

/** A batch of a run by its number, or a half by its name. */
export interface BatchAsked {
  runId: number;
  batch: number | string;
}

/** One batch of a run; null when there is none. */
export async function readBatch(
  pool: pg.Pool,
  runId: number,
  batch: number | string,
): Promise<BatchToSend | null> {
  const [found = null] = await readBatches(pool, [{ runId, batch }]);
  return found;
}

/** Several batches at once, in the order in which they were asked for; null where there is none. */
export async function readBatches(
  pool: pg.Pool,
  asked: readonly BatchAsked[],
): Promise<(BatchToSend | null)[]> {
  const found = new Map<string, BatchToSend>();
  // Copied out the bytes come as they are; as the value of a query each would come as two digits of text.
  for (const [runId, batchNo, name, ...row] of await copyOutRows(pool, batchesSql(asked))) {
    const batch = batchOf(batchNo?.readInt32BE() ?? 0, row);
    const run = runId?.readBigInt64BE() ?? 0n;
    found.set(`${run}-${batch.batchNo}`, batch);
    if (name) found.set(`${run}-${name.toString("utf8")}`, batch);
  }
  return asked.map(({ runId, batch }) => found.get(`${runId}-${batch}`) ?? null);
}

/** Each run apart, so that only its partition is looked into. */
function batchesSql(asked: readonly BatchAsked[]): string {
  const ofRuns = new Map<number, (number | string)[]>();
  for (const { runId, batch } of asked) ofRuns.set(runId, [...(ofRuns.get(runId) ?? []), batch]);
  return [...ofRuns]
    .map(([runId, batches]) => {
      const numbers = batches.filter((batch) => typeof batch === "number");
      const names = batches
        .filter((batch) => typeof batch === "string")
        .map((name) => pg.escapeLiteral(name));
      const wanted = [
        ...(numbers.length > 0 ? [`batch_no IN (${numbers.join(", ")})`] : []),
        ...(names.length > 0 ? [`name IN (${names.join(", ")})`] : []),
      ];
      return `SELECT run_id, batch_no, name, records, body_sha256, outcome, request, CASE WHEN outcome IS NULL AND NOT withdrawn THEN body END
        FROM egret.batches WHERE run_id = ${runId} AND (${wanted.join(" OR ")})`;
    })
    .join(" UNION ALL ");
}

/** A batch without an outcome, with its bytes where they were asked for, are few and nobody took them back. */
export interface OpenBatch {
  batch: BatchToSend;
  /** Of a half of a batch that was split; null for a batch of the plan. */
  name: string | null;
}

/** Which open batches of a run. */
export interface OpenBatchesAsked {
  runId: number;
  afterBatchNo: number;
  limit: number;
  /** Leaves deletes out. */
  withoutDeletes: boolean;
  /** Bodies that are longer are not read, bytes. */
  mostBodyBytes: number;
}

/** The first open batches of a run after a number, in order. */
export async function readOpenBatches(pool: pg.Pool, asked: OpenBatchesAsked): Promise<OpenBatch[]> {
  const { runId, afterBatchNo, limit, withoutDeletes, mostBodyBytes } = asked;
  const rows = await copyOutRows(
    pool,
    `SELECT batch_no, name, records, body_sha256, outcome, request,
       CASE WHEN NOT withdrawn AND octet_length(body) <= ${mostBodyBytes} THEN body END
     FROM egret.batches WHERE run_id = ${runId} AND outcome IS NULL AND batch_no > ${afterBatchNo}
       ${withoutDeletes ? "AND operation <> 'delete'" : ""}
     ORDER BY batch_no LIMIT ${limit}`,
  );
  return rows.map(([batchNo, name, ...row]) => ({
    batch: batchOf(batchNo?.readInt32BE() ?? 0, row),
    name: name?.toString("utf8") ?? null,
  }));
}

function batchOf(batchNo: number, row: readonly (Buffer | null)[]): BatchToSend {
  const [records, bodySha256, outcome, request, body = null] = row;
  return {
    batchNo,
    records: records?.readInt32BE() ?? 0,
    bodySha256: bodySha256?.toString("latin1") ?? "",
    outcome: (outcome?.toString("latin1") ?? null) as BatchOutcome | null,
    request: request?.toString("utf8") ?? null,
    body,
  };
}

/** Number of a half in its run; null when there is none of that name. */
export async function halfNumber(db: Kysely<Database>, runId: number, name: string): Promise<number | null> {
  const row = await db
    .selectFrom("egret.batches")
    .select("batch_no")
    .where("run_id", "=", runId)
    .where("name", "=", name)
    .executeTakeFirst();
  return row?.batch_no ?? null;
}

/** A few batches are looked up by their numbers; of a table that was just filled the planner would rather read it all. */
const BY_NUMBERS =
  "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/**
 * Gives many batches their outcome at once. Accepted ones move their keys and hashes into the sync's state; a batch
 * that has an outcome keeps it, so that settling twice changes nothing. With `keepsRows` the rows of a batch that was
 * sent stay as they went out, until retention takes them; else they go with this.
 */
export async function settleBatches(
  database: OpenDatabase,
  settlements: readonly Settlement[],
  { keepsRows = false }: { keepsRows?: boolean } = {},
): Promise<void> {
  if (settlements.length === 0) return;
  const columns = [
    settlements.map((each) => each.runId),
    settlements.map((each) => each.batchNo),
    settlements.map((each) => each.outcome),
    settlements.map((each) => storable(each.statusMessage)),
  ];
  const accepted = acceptedOfOne(settlements, keepsRows);
  const opening = `BEGIN; ${BY_NUMBERS}; ${accepted === null ? "" : BEFORE_AT_ONCE}`;
  await inTransactionFrom({ pool: database.pool, opening }, async (client) => {
    if (accepted !== null && (await settleAtOnce(client, accepted))) return;
    // Locked in one order, so that two settlers never wait for each other. The first outcome of a batch stands.
    const { rows: open } = await client.query<BatchInHand>(
      `SELECT ${BATCH_IN_HAND} FROM egret.batches b
       WHERE ${IS_OPEN} AND (b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))
       ORDER BY b.run_id, b.batch_no FOR UPDATE`,
      columns.slice(0, 2),
    );
    if (open.length === 0) return;
    await lockJournals(client, open);
    await splitRejected(client, open, settlements);
    const outcomes = new Map(settlements.map((each) => [`${each.runId}-${each.batchNo}`, each.outcome]));
    const withOutcome = (outcome: BatchOutcome) =>
      open.filter((each) => outcomes.get(`${each.run_id}-${each.batch_no}`) === outcome);
    await acceptRows(client, withOutcome("accepted"));
    await rejectRows(client, withOutcome("rejected"));
    await rejectRows(
      client,
      withOutcome("accepted").filter((each) => each.hasErrors),
      { only: "refused" },
    );
    await doubtRows(client, withOutcome("unavailable"));
    await client.query(
      `UPDATE egret.batches b
       SET outcome = s.outcome, status_message = s.message, settled_at = now(),
           hashes = NULL, row_records = NULL,
           -- What stays is not even moved: its bytes are where they were.
           body = CASE WHEN s.is_kept THEN b.body END,
           source_records = CASE WHEN s.is_kept THEN b.source_records END,
           request = CASE WHEN s.is_kept THEN b.request END,
           -- An answer that spoke of each row stays with their keys; one that was followed by another says nothing.
           keys = CASE WHEN s.is_kept OR (s.outcome = 'accepted' AND b.row_errors IS NOT NULL) THEN b.keys END,
           row_errors = CASE WHEN s.outcome = 'accepted' THEN b.row_errors END,
           rejected_records = CASE WHEN s.outcome = 'accepted' THEN b.rejected_records ELSE 0 END
       FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) AS g (run_id, batch_no, outcome, message)
       CROSS JOIN LATERAL (SELECT g.*, $5::boolean AND g.outcome <> 'dropped' AS is_kept) AS s
       WHERE b.run_id = s.run_id AND b.batch_no = s.batch_no AND ${IS_OPEN}`,
      [...columns, keepsRows],
    );
  });
}

/** Null unless all of them were accepted and are of one sync that is known. */
function acceptedOfOne(settlements: readonly Settlement[], keepsRows: boolean): AcceptedAtOnce | null {
  const syncId = settlements[0]?.syncId;
  if (syncId === undefined) return null;
  const isOther = ({ outcome, statusMessage, syncId: of }: Settlement) =>
    outcome !== "accepted" || statusMessage !== null || of !== syncId;
  if (settlements.some(isOther)) return null;
  const runIds = settlements.map((each) => each.runId);
  return { syncId, runIds, batchNos: settlements.map((each) => each.batchNo), keepsRows };
}

/** Keys of a batch in the order of its rows; none once they are no longer kept. */
export async function readBatchKeys(db: Kysely<Database>, runId: number, batchNo: number): Promise<string[]> {
  const row = await db
    .selectFrom("egret.batches")
    .select("keys")
    .where("run_id", "=", runId)
    .where("batch_no", "=", batchNo)
    .executeTakeFirst();
  return row?.keys ?? [];
}

/**
 * Keeps what an answer said of each row, for when the batch is settled: before that it may be sent again, and what is
 * said then replaces this.
 */
export async function keepRowErrors(
  db: Kysely<Database>,
  { runId, batchNo }: { runId: number; batchNo: number },
  errors: readonly (string | null)[],
): Promise<void> {
  const rejected = errors.filter((error) => error !== null).length;
  const texts = rejected === 0 ? null : errors.map(storable);
  await sql`update egret.batches set row_errors = ${texts}, rejected_records = ${rejected}
    where run_id = ${runId} and batch_no = ${batchNo} and outcome is null`.execute(db);
}

/** Postgres keeps no NUL in a text. */
function storable(message: string | null): string | null {
  return message?.replaceAll("\u0000", "\ufffd") ?? null;
}

/** Cuts what can be cut of the rejected ones; from then on a batch that was cut has an outcome, and keeps it. */
async function splitRejected(
  client: pg.PoolClient,
  open: readonly { run_id: number; batch_no: number }[],
  settlements: readonly Settlement[],
): Promise<void> {
  const wanted = settlements.filter(
    ({ outcome, cutBody }) => outcome === "rejected" && cutBody !== undefined,
  );
  if (wanted.length === 0) return;
  for (const { run_id: runId, batch_no: batchNo } of open) {
    const settlement = wanted.find((each) => each.runId === runId && each.batchNo === batchNo);
    if (settlement?.cutBody === undefined) continue;
    const { cutBody } = settlement;
    await splitBatch(client, { runId, batchNo, statusMessage: storable(settlement.statusMessage), cutBody });
  }
}

/** Counts a run's batches and records by outcome. */
export async function runTotals(db: Kysely<Database>, runId: number): Promise<RunTotals> {
  const rows = await db
    .selectFrom("egret.batches")
    .select((eb) => [
      "outcome",
      eb.fn.countAll<number>().as("batches"),
      sql<number>`sum(records)::bigint`.as("records"),
      sql<number>`sum(rejected_records)::bigint`.as("rejected"),
    ])
    .where("run_id", "=", runId)
    .where(sql<boolean>`outcome is distinct from 'split'`)
    .groupBy("outcome")
    .execute();
  const nothing = (): Total => ({ batches: 0, records: 0 });
  const totals: RunTotals = {
    open: nothing(),
    accepted: nothing(),
    rejected: nothing(),
    unavailable: nothing(),
    dropped: nothing(),
  };
  let rejected = 0;
  for (const row of rows) {
    const { outcome, batches, records } = row;
    // Of an accepted batch the answer may have named rows that were not taken.
    if (outcome === "accepted") rejected = row.rejected;
    if (outcome === "split") continue;
    totals[outcome ?? "open"] = { batches, records: records - (outcome === "accepted" ? row.rejected : 0) };
  }
  totals.rejected.records += rejected;
  return totals;
}
