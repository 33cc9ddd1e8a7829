/** Read model of deliveries: one row per payload for one target, with one row per attempt beside it. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { StoredEvent } from "../domain/event.ts";
import type { AttemptReadModel, Database, DeliveryReadModel } from "./database.ts";
import {
  type AttemptRow,
  type DeliveryChange,
  type DeliveryRow,
  deliveryKey,
  foldDeliveries,
} from "./deliveryFold.ts";
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
  key: ["target_kind", "target_id", "id"],
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
  },
};

type DeliveryKey = Pick<DeliveryChange, "target_kind" | "target_id" | "id">;

const KEY_COLUMNS: Table<DeliveryKey>["columns"] = {
  target_kind: "text",
  target_id: "bigint",
  id: "text",
};

const CHANGE_COLUMNS: Table<DeliveryChange>["columns"] = {
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
};

const ATTEMPTS: Table<AttemptRow> = {
  name: "attempts",
  key: ["target_kind", "target_id", "delivery_id", "attempt"],
  columns: {
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
  const rows = [...changes.values()];
  const updated = await writer.client.query(
    `update ${tableName(writer, DELIVERIES)} as row set
       state = given.state, version = given.version,
       attempts = coalesce(given.attempts, row.attempts),
       http_status = case when given.attempts is null then row.http_status else given.http_status end,
       error = case when given.attempts is null then coalesce(given.error, row.error) else given.error end,
       death_reason = given.death_reason, next_attempt_at = given.next_attempt_at,
       updated_at = given.updated_at, ended_at = given.ended_at
     from ${unnestRows(CHANGE_COLUMNS)}
     where row.target_kind = given.target_kind and row.target_id = given.target_id and row.id = given.id`,
    columnArrays(CHANGE_COLUMNS, rows),
  );
  // Asked only when one is missing: returning every row would cost as much as the update.
  if (updated.rowCount === rows.length) return new Set();
  const keys: DeliveryKey[] = rows;
  const existing = await writer.client.query<DeliveryKey>(
    `select row.target_kind, row.target_id, row.id
     from ${tableName(writer, DELIVERIES)} as row join ${unnestRows(KEY_COLUMNS)} using (target_kind, target_id, id)`,
    columnArrays(KEY_COLUMNS, keys),
  );
  const known = new Set(existing.rows.map(deliveryKey));
  return new Set([...changes.keys()].filter((key) => !known.has(key)));
}

/** Deliveries, newest first; `before` is the last delivery of the page before. */
export async function listDeliveries(
  db: Kysely<Database>,
  wanted: {
    runId?: number;
    syncId?: number;
    targetKind?: Delivery["target_kind"];
    targetId?: number;
    state?: Delivery["state"];
    before?: Pick<Delivery, "created_at" | "id">;
    limit: number;
  },
): Promise<Delivery[]> {
  let query = db.selectFrom("egret_read.deliveries").selectAll();
  if (wanted.runId !== undefined) query = query.where("run_id", "=", wanted.runId);
  if (wanted.syncId !== undefined) query = query.where("sync_id", "=", wanted.syncId);
  if (wanted.targetKind !== undefined) query = query.where("target_kind", "=", wanted.targetKind);
  if (wanted.targetId !== undefined) query = query.where("target_id", "=", wanted.targetId);
  if (wanted.state !== undefined) query = query.where("state", "=", wanted.state);
  if (wanted.before !== undefined) {
    const { created_at, id } = wanted.before;
    query = query.where(sql<boolean>`(created_at, id) < (${created_at.toISOString()}::timestamptz, ${id})`);
  }
  return query.orderBy("created_at", "desc").orderBy("id", "desc").limit(wanted.limit).execute();
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
