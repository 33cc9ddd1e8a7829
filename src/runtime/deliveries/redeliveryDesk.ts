/** What redelivery and replays ask of our Postgres: is the target there and enabled, may a batch be sent again. */
import type { Kysely } from "kysely";
import type { Database } from "../../projections/database.ts";
import type { RedeliveryDesk } from "./redeliver.ts";

/** The desk over our Postgres. */
export function redeliveryDesk(db: Kysely<Database>): RedeliveryDesk {
  return {
    async targetState({ targetKind, targetId }) {
      if (targetKind === "destination") {
        const row = await db
          .selectFrom("egret.destinations")
          .select("id")
          .where("id", "=", targetId)
          .executeTakeFirst();
        return row === undefined ? "deleted" : "ready";
      }
      const webhook = await readSubscriber(db, targetId);
      if (webhook === null) return "deleted";
      return webhook.enabled ? "ready" : "disabled";
    },
    // Kept or not, rows of a settled batch are not sent again: later runs may have sent newer ones of the same keys.
    isBatchKept: () => Promise.resolve(false),
  };
}

/** What decides whether a webhook gets an event. */
export interface SubscriberState {
  enabled: boolean;
  events: readonly string[];
  createdAt: Date;
}

/** The webhook of that id, without its secret; null when it was deleted. */
export async function readSubscriber(db: Kysely<Database>, id: number): Promise<SubscriberState | null> {
  const row = await db
    .selectFrom("egret.webhooks")
    .select(["enabled", "events", "created_at as createdAt"])
    .where("id", "=", id)
    .executeTakeFirst();
  return row ?? null;
}
