/** How far replays are, in our Postgres: taken pages, counts, the wish to cancel. Their truth stands in the log. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { EgretEvent, EventData } from "../../domain/event.ts";
import type { Database, ReplayCursor, ReplayItem, ReplayTable } from "../../projections/database.ts";

/** A replay as our Postgres has it. */
export type ReplayRow = Selectable<ReplayTable>;

/** The events that end a replay. */
export type ReplayEnd = EgretEvent<"replay.completed" | "replay.failed" | "replay.cancelled">;

/** Makes the row of a replay that was requested; one that is there stays as it is. */
export async function ensureReplay(
  db: Kysely<Database>,
  requested: EventData<"replay.requested">,
  requestedAt: Date,
): Promise<void> {
  const { replay_id: id, workspace_id, requested_by, rate_per_second, wanted } = requested;
  await db
    .insertInto("egret.replays")
    .values({
      id,
      workspace_id,
      requested_by,
      rate_per_second,
      wanted: JSON.stringify(wanted),
      state: "requested",
      cursor: null,
      taken: null,
      requested_at: requestedAt,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** One replay, or null. */
export async function readReplay(db: Kysely<Database>, id: number): Promise<ReplayRow | null> {
  const row = await db.selectFrom("egret.replays").selectAll().where("id", "=", id).executeTakeFirst();
  return row ?? null;
}

/** Replays, newest first. */
export async function listReplays(
  db: Kysely<Database>,
  wanted: { workspaceId?: number; limit: number },
): Promise<ReplayRow[]> {
  let query = db.selectFrom("egret.replays").selectAll();
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  return query.orderBy("id", "desc").limit(wanted.limit).execute();
}

/** A page of a workspace's replays in the order of their ids, and how many there are; of one webhook's where it is named. */
export async function pageOfReplays(
  db: Kysely<Database>,
  page: {
    workspaceId: number;
    webhookId?: number;
    limit: number;
    offset: number;
    order: "asc" | "desc";
    /** Last id of the page before. */
    afterId: number | null;
  },
): Promise<{ rows: ReplayRow[]; total: number }> {
  const { workspaceId, webhookId, limit, offset, order, afterId } = page;
  let found = db.selectFrom("egret.replays").where("workspace_id", "=", workspaceId);
  if (webhookId !== undefined) {
    found = found.where(sql<boolean>`(wanted ->> 'webhook_id')::bigint = ${webhookId}`);
  }
  const after = afterId === null ? found : found.where("id", order === "asc" ? ">" : "<", afterId);
  const [rows, { total }] = await Promise.all([
    after.selectAll().orderBy("id", order).limit(limit).offset(offset).execute(),
    found.select(({ fn }) => fn.countAll<number>().as("total")).executeTakeFirstOrThrow(),
  ]);
  return { rows, total };
}

/** Notes how much there is to do. */
export async function setTotal(db: Kysely<Database>, id: number, total: number): Promise<void> {
  await db.updateTable("egret.replays").set({ total }).where("id", "=", id).execute();
}

/**
 * Takes the next page: it is this worker's to deal with. Returns the row as it then is, or null when another worker
 * took it, or the replay has ended.
 */
export async function takePage(
  db: Kysely<Database>,
  before: ReplayRow,
  page: { items: readonly ReplayItem[]; cursor: ReplayCursor },
): Promise<ReplayRow | null> {
  const cursor = JSON.stringify(page.cursor);
  const was = before.cursor === null ? null : JSON.stringify(before.cursor);
  const row = await db
    .updateTable("egret.replays")
    .set({ cursor, taken: JSON.stringify(page.items), updated_at: new Date() })
    .where("id", "=", before.id)
    .where("state", "=", "requested")
    .where("taken", "is", null)
    .where((where) => where.or([where("cursor", "is not distinct from", was as unknown as ReplayCursor)]))
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

/** Counts what became of the taken page. Null when another worker counted it first. */
export async function countPage(
  db: Kysely<Database>,
  before: ReplayRow,
  counts: { replayed: number; skipped: Readonly<Record<string, number>> },
): Promise<ReplayRow | null> {
  const skipped = { ...before.skipped };
  for (const [reason, count] of Object.entries(counts.skipped))
    skipped[reason] = (skipped[reason] ?? 0) + count;
  const row = await db
    .updateTable("egret.replays")
    .set({
      taken: null,
      replayed: before.replayed + counts.replayed,
      skipped: JSON.stringify(skipped),
      updated_at: new Date(),
    })
    .where("id", "=", before.id)
    .where("taken", "is not", null)
    .where("cursor", "=", JSON.stringify(before.cursor) as unknown as ReplayCursor)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

/** Asks for a replay to be cancelled; false when it has ended or is being cancelled already. */
export async function wishCancelled(db: Kysely<Database>, id: number, by: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("egret.replays")
    .set({ cancelled_by: by, updated_at: new Date() })
    .where("id", "=", id)
    .where("state", "=", "requested")
    .where("cancelled_by", "is", null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Writes the end of a replay as its last event tells it; doing it twice changes nothing. */
export async function endReplay(db: Kysely<Database>, end: ReplayEnd): Promise<void> {
  const { data, state, time } = end;
  await db
    .updateTable("egret.replays")
    .set({
      state: state as ReplayRow["state"],
      replayed: data.replayed,
      skipped: JSON.stringify(data.skipped),
      error: "error" in data ? data.error : null,
      taken: null,
      updated_at: new Date(time),
      ended_at: new Date(time),
    })
    .where("id", "=", data.replay_id)
    .execute();
}
