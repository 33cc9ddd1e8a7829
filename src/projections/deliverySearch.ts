/** Lists and counts deliveries by what people search for; pages follow one order of time, so that none is shown twice. */
import { type Kysely, type SelectQueryBuilder, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Delivery } from "./deliveries.ts";

/** Which deliveries; what is left out narrows nothing. */
export interface DeliveryFilter {
  workspaceId?: number | undefined;
  targetKind?: Delivery["target_kind"] | undefined;
  targetId?: number | undefined;
  states?: readonly Delivery["state"][] | undefined;
  event?: string | undefined;
  syncId?: number | undefined;
  runId?: number | undefined;
  /** Of the last attempt that was answered. */
  httpStatus?: number | undefined;
  /** Created then or later. */
  since?: Date | undefined;
  /** Created before. */
  until?: Date | undefined;
}

/** A delivery's place in the order of time. */
export interface DeliveryPlace {
  created_at: Date;
  id: string;
}

/** One page: from `after` on, exclusive; newest first unless oldest first is asked for. */
export interface DeliveryPage extends DeliveryFilter {
  after?: DeliveryPlace | undefined;
  oldestFirst?: boolean;
  limit: number;
  /** Passed over before the page begins. */
  offset?: number;
}

/** A place as one word, for people and clients to hand back. */
export function placeText({ created_at, id }: DeliveryPlace): string {
  return Buffer.from(`${created_at.getTime()} ${id}`).toString("base64url");
}

/** The place that a word stands for; null when it is none. */
export function readPlace(text: string): DeliveryPlace | null {
  // Ids are letters, digits, - and _; fourteen digits of ms are instants that Postgres can write.
  const [, ms, id] = /^(\d{1,14}) ([\w-]{1,200})$/.exec(Buffer.from(text, "base64url").toString()) ?? [];
  return ms === undefined || id === undefined ? null : { created_at: new Date(Number(ms)), id };
}

/** Deliveries in the order of time. */
export async function searchDeliveries(db: Kysely<Database>, page: DeliveryPage): Promise<Delivery[]> {
  const { after, oldestFirst = false, limit, offset = 0 } = page;
  const direction = oldestFirst ? "asc" : "desc";
  let query = filtered(db.selectFrom("egret_read.deliveries"), page).selectAll();
  if (after !== undefined) {
    const place = sql`(${after.created_at.toISOString()}::timestamptz, ${after.id})`;
    query = query.where(
      oldestFirst ? sql<boolean>`(created_at, id) > ${place}` : sql<boolean>`(created_at, id) < ${place}`,
    );
  }
  return query
    .orderBy("created_at", direction)
    .orderBy("id", direction)
    .limit(limit)
    .offset(offset)
    .execute();
}

/** How many deliveries a filter finds. */
export async function countDeliveries(db: Kysely<Database>, filter: DeliveryFilter): Promise<number> {
  const { count } = await filtered(db.selectFrom("egret_read.deliveries"), filter)
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return count;
}

/** How many deliveries a filter finds, counted as far as `most`: counting millions takes longer than anyone waits. */
export async function countDeliveriesUpTo(
  db: Kysely<Database>,
  filter: DeliveryFilter,
  most: number,
): Promise<number> {
  const found = filtered(db.selectFrom("egret_read.deliveries"), filter)
    .select(sql<number>`1`.as("one"))
    .limit(most);
  const { count } = await db
    .selectFrom(found.as("found"))
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return count;
}

/** The deliveries of that id: as good as always one, since an id names its run and its place in it. */
export async function findDeliveries(db: Kysely<Database>, id: string): Promise<Delivery[]> {
  // The id begins with the run's, by which the rows are found without a search.
  const runId = Number(/^\d{1,15}(?=-)/.exec(id)?.[0] ?? 0);
  return db
    .selectFrom("egret_read.deliveries")
    .selectAll()
    .where("run_id", "=", runId)
    .where("id", "=", id)
    .execute();
}

type Query<O> = SelectQueryBuilder<Database, "egret_read.deliveries", O>;

function filtered<O>(from: Query<O>, filter: DeliveryFilter): Query<O> {
  let query = from;
  if (filter.workspaceId !== undefined) query = query.where("workspace_id", "=", filter.workspaceId);
  if (filter.targetKind !== undefined) query = query.where("target_kind", "=", filter.targetKind);
  if (filter.targetId !== undefined) query = query.where("target_id", "=", filter.targetId);
  if (filter.states !== undefined) query = query.where("state", "in", [...filter.states]);
  if (filter.event !== undefined) query = query.where("event", "=", filter.event);
  if (filter.syncId !== undefined) query = query.where("sync_id", "=", filter.syncId);
  if (filter.runId !== undefined) query = query.where("run_id", "=", filter.runId);
  if (filter.httpStatus !== undefined) query = query.where("http_status", "=", filter.httpStatus);
  if (filter.since !== undefined) query = query.where("created_at", ">=", filter.since);
  if (filter.until !== undefined) query = query.where("created_at", "<", filter.until);
  return query;
}
