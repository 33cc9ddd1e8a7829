/** Read model of deliveries: one row per payload for one target, with one row per attempt beside it. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import {
  type AttemptRow,
  type DeliveryChange,
  type DeliveryRow,
  deliveryKey,
  foldDeliveries,
} from "./deliveryFold.ts";
import type { AttemptReadModel, DeliveryReadModel } from "./readModelTables.ts";
import { listRunRanges, makeRunPartitions, partitionName, type RunRange, rangeOf } from "./runPartitions.ts";
import {
  columnArrays,
  type ReadModelWriter,
  type Table,
  tableName,
  unnestRows,
  writeNewRows,
} from "./tableWriter.ts";

/** A delivery as the read model has it. */
export type Delivery = Selectable<DeliveryReadModel>;
/** One HTTP request of a delivery. */
export type Attempt = Selectable<AttemptReadModel>;

const DELIVERIES: Table<DeliveryRow> = {
  name: "deliveries",
  key: ["target_kind", "target_id", "id", "run_id"],
  makePartitions: makeRunPartitions,
  columns: {
    id: "text",
    workspace_id: "bigint",
    target_kind: "text",
    target_id: "bigint",
    sync_id: "bigint",
    run_id: "bigint",
    event: "text",
    event_id: "text",
    records: "integer",
    payload: "text",
    payload_sha256: "text",
    state: "text",
    version: "integer",
    attempts: "integer",
    http_status: "integer",
    error: "text",
    death_reason: "text",
    next_attempt_at: "timestamptz",
    created_at: "timestamptz",
    updated_at: "timestamptz",
    ended_at: "timestamptz",
    redeliveries: "integer",
  },
};

type DeliveryKey = Pick<DeliveryChange, "target_kind" | "target_id" | "id">;

const KEY_COLUMNS: Table<DeliveryKey>["columns"] = {
  target_kind: "text",
  target_id: "bigint",
  id: "text",
};

type ChangedRow = Omit<DeliveryChange, "run_id">;

/** Without the run, which has said already where the row is. */
const CHANGE_COLUMNS = {
  ...KEY_COLUMNS,
  state: "text",
  version: "integer",
  attempts: "integer",
  http_status: "integer",
  error: "text",
  death_reason: "text",
  next_attempt_at: "timestamptz",
  updated_at: "timestamptz",
  ended_at: "timestamptz",
  redeliveries: "integer",
} as const satisfies Table<ChangedRow>["columns"];

const ATTEMPTS: Table<AttemptRow> = {
  name: "attempts",
  key: ["run_id", "target_kind", "target_id", "delivery_id", "attempt"],
  columns: {
    run_id: "bigint",
    target_kind: "text",
    target_id: "bigint",
    delivery_id: "text",
    attempt: "integer",
    started_at: "timestamptz",
    duration_ms: "double precision",
    http_status: "integer",
    error: "text",
  },
};

/**
 * Projects the events of deliveries in three statements; returns how many events were skipped because the log no
 * longer holds their delivery's `delivery.pending` (retention): half a history makes neither row nor attempts.
 */
export async function projectDeliveries(
  writer: ReadModelWriter,
  events: readonly StoredEvent[],
): Promise<number> {
  const { inserts, changes, attempts, eventCounts } = foldDeliveries(events);
  await writeNewRows(writer, DELIVERIES, [...inserts.values()]);
  const unknown = await applyChanges(writer, changes);
  let made = [...attempts.values()];
  let skipped = 0;
  if (unknown.size > 0) {
    made = made.filter((row) => !unknown.has(deliveryKey({ ...row, id: row.delivery_id })));
    for (const key of unknown) skipped += eventCounts.get(key) ?? 0;
  }
  await writeNewRows(writer, ATTEMPTS, made);
  return skipped;
}

/** Updates the rows that exist; returns the keys of those that do not. */
async function applyChanges(
  writer: ReadModelWriter,
  changes: Map<string, DeliveryChange>,
): Promise<Set<string>> {
  if (changes.size === 0) return new Set();
  const ranges = await listRunRanges(writer.client, writer.schema);
  const unknown = new Set<string>();
  const byRange = Map.groupBy(changes.values(), ({ run_id }) => rangeOf(ranges, run_id));
  for (const [range, rows] of byRange) {
    for (const row of await missingOf(writer, range, rows)) unknown.add(deliveryKey(row));
  }
  return unknown;
}

/**
 * Updates rows of one partition and returns those that are not there. By its own name: which partitions a join can
 * meet the planner does not see, and young ones without statistics mislead it.
 */
async function missingOf(
  writer: ReadModelWriter,
  range: RunRange | undefined,
  rows: readonly DeliveryChange[],
): Promise<readonly DeliveryKey[]> {
  if (range === undefined) return rows;
  const partition = tableName(writer, { name: partitionName(DELIVERIES.name, range) });
  const updated = await writer.client.query(
    `update ${partition} as row set
       state = given.state, version = given.version,
       attempts = coalesce(given.attempts, row.attempts),
       http_status = case when given.attempts is null then row.http_status else given.http_status end,
       error = case when given.attempts is null then coalesce(given.error, row.error) else given.error end,
       death_reason = given.death_reason, next_attempt_at = given.next_attempt_at,
       updated_at = given.updated_at, ended_at = given.ended_at,
       redeliveries = row.redeliveries + given.redeliveries
     from ${unnestRows<ChangedRow>(CHANGE_COLUMNS)}
     where row.target_kind = given.target_kind and row.target_id = given.target_id and row.id = given.id`,
    columnArrays<ChangedRow>(CHANGE_COLUMNS, rows),
  );
  // Asked only when one is missing: returning every row would cost as much as the update.
  if (updated.rowCount === rows.length) return [];
  const existing = await writer.client.query<DeliveryKey>(
    `select row.target_kind, row.target_id, row.id
     from ${partition} as row join ${unnestRows(KEY_COLUMNS)} using (target_kind, target_id, id)`,
    columnArrays<DeliveryKey>(KEY_COLUMNS, rows),
  );
  const known = new Set(existing.rows.map(deliveryKey));
  return rows.filter((row) => !known.has(deliveryKey(row)));
}

/** One delivery with its attempts in order, or null when it is not known (yet). */
export async function getDelivery(
  db: Kysely<Database>,
  key: { targetKind: Delivery["target_kind"]; targetId: number; id: string },
): Promise<(Delivery & { attemptList: Attempt[] }) | null> {
  const delivery = await db
    .selectFrom("egret_read.deliveries")
    .selectAll()
    .where("target_kind", "=", key.targetKind)
    .where("target_id", "=", key.targetId)
    .where("id", "=", key.id)
    .executeTakeFirst();
  if (delivery === undefined) return null;
  const attemptList = await db
    .selectFrom("egret_read.attempts")
    .selectAll()
    .where("run_id", "=", delivery.run_id)
    .where("target_kind", "=", key.targetKind)
    .where("target_id", "=", key.targetId)
    .where("delivery_id", "=", key.id)
    .orderBy("attempt")
    .execute();
  return { ...delivery, attemptList };
}

/** How far the batches of a run have come. */
export interface RunProgress {
  batches: number;
  delivered: number;
  dead: number;
  retrying: number;
  recordsDelivered: number;
  recordsDead: number;
}

/** Counts the batches of a run by what became of them, for a progress bar. */
export async function runProgress(db: Kysely<Database>, runId: number): Promise<RunProgress> {
  return db
    .selectFrom("egret_read.batches")
    .select(({ fn }) => [
      fn.countAll<number>().as("batches"),
      sql<number>`count(*) filter (where state = 'delivered')`.as("delivered"),
      sql<number>`count(*) filter (where state = 'dead')`.as("dead"),
      sql<number>`count(*) filter (where state = 'retrying')`.as("retrying"),
      sql<number>`coalesce(sum(records) filter (where state = 'delivered'), 0)::bigint`.as(
        "recordsDelivered",
      ),
      sql<number>`coalesce(sum(records) filter (where state = 'dead'), 0)::bigint`.as("recordsDead"),
    ])
    .where("run_id", "=", runId)
    .executeTakeFirstOrThrow();
}
