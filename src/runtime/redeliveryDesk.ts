/** What redelivery and replays ask of our Postgres: is the target there and enabled, are a batch's rows still kept. */
import type { Kysely } from "kysely";
import { readBatch } from "../engine/settle.ts";
import type { Database } from "../projections/database.ts";
import { batchNoOf } from "./destinationTarget.ts";
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
    async isBatchKept(runId, deliveryId) {
      const batch = await readBatch(db, runId, batchNoOf({ delivery_id: deliveryId }));
      // One without an outcome is being settled at this moment, and its rows go with that.
      return batch !== null && batch.body !== null && batch.outcome !== null;
    },
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
