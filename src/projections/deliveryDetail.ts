/** Deliveries with their attempts, and one with what was said in each of them as long as that is kept. */
import { type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import { type Attempt, type Delivery, getDelivery } from "./deliveries.ts";
import { type ReadExchange, readExchanges } from "./exchanges.ts";

/** An attempt with what was said in it: nothing once that is no longer kept, twice when a crash made it happen twice. */
export type DetailedAttempt = Attempt & { exchanges: ReadExchange[] };

/** A delivery with everything that is known of it. */
export type DetailedDelivery = Delivery & { attemptList: readonly DetailedAttempt[] };

/** A delivery with its attempts, without what was said in them. */
export type AttemptedDelivery = Delivery & { attemptList: readonly Attempt[] };

/** The delivery with its attempts in order, and their exchanges. */
export async function readDeliveryDetail(
  db: Kysely<Database>,
  delivery: Delivery,
): Promise<DetailedDelivery> {
  const key = { targetKind: delivery.target_kind, targetId: delivery.target_id, id: delivery.id };
  // It was there a moment ago; gone by now, retention took its attempts as well.
  const known = (await getDelivery(db, key)) ?? { ...delivery, attemptList: [] };
  const exchanges = await readExchanges(db, {
    ...key,
    deliveryId: delivery.id,
    attempts: known.attemptList.map(({ started_at, duration_ms }) => ({
      startedAt: started_at,
      durationMs: duration_ms,
    })),
  });
  const attemptList = known.attemptList.map((attempt) => ({
    ...attempt,
    exchanges: exchanges.filter((each) => each.attempt === attempt.attempt),
  }));
  return { ...known, attemptList };
}

/** Deliveries as they were given, each with its attempts in order. */
export async function withAttempts(
  db: Kysely<Database>,
  deliveries: readonly Delivery[],
): Promise<AttemptedDelivery[]> {
  if (deliveries.length === 0) return [];
  const keys = deliveries.map(
    ({ run_id, target_kind, target_id, id }) =>
      sql`(${run_id}::bigint, ${target_kind}, ${target_id}::bigint, ${id})`,
  );
  const attempts = await db
    .selectFrom("egret_read.attempts")
    .selectAll()
    .where(sql<boolean>`(run_id, target_kind, target_id, delivery_id) in (${sql.join(keys)})`)
    .orderBy("attempt")
    .execute();
  const byDelivery = Map.groupBy(attempts, (attempt) => keyOf({ ...attempt, id: attempt.delivery_id }));
  return deliveries.map((delivery) => ({ ...delivery, attemptList: byDelivery.get(keyOf(delivery)) ?? [] }));
}

function keyOf({ target_kind, target_id, id }: Pick<Delivery, "target_kind" | "target_id" | "id">): string {
  return `${target_kind}/${target_id}/${id}`;
}
