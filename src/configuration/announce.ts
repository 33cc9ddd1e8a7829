/** Leaves the outbox row of a change, in the transaction of the change itself: the log hears of it from there. */
import type { Transaction } from "kysely";
import { v7 as uuidv7 } from "uuid";
import type { EventData } from "../domain/event.ts";
import type { Database } from "../projections/database.ts";
import { type StoredItem, shownSettings } from "./configItem.ts";

/** Any number that nothing else in Egret locks: configuration changes one at a time, so outbox ids commit in order. */
export const CONFIGURATION_LOCK = 7_236_401;

/** Where and by whom something is changed. */
export interface Announcer {
  trx: Transaction<Database>;
  /** Who, such as `egret apply`. */
  actor: string;
  workspaceId: number;
}

/** The event's data: the object as it now is, and of its secrets only which there are (I11). */
export async function announce(
  { trx, actor, workspaceId }: Announcer,
  change: "created" | "updated" | "deleted",
  item: StoredItem,
): Promise<void> {
  const secretsSet = Object.keys(item.secrets).sort();
  const data: EventData<"config.created"> = {
    workspace_id: workspaceId,
    kind: item.kind,
    object_id: item.id,
    name: item.name,
    actor,
    settings: {
      ...shownSettings(item.settings),
      ...(item.kind === "sync" || item.label === null ? {} : { label: item.label }),
      // Their values are the client's own matter: nobody knows what is in them.
      ...(Object.keys(item.attributes).length > 0
        ? { attributes_set: Object.keys(item.attributes).sort() }
        : {}),
      ...(item.managedBy === "api" ? { managed_by: item.managedBy } : {}),
      ...(secretsSet.length > 0 ? { secrets_set: secretsSet } : {}),
      ...(await operatedSettings(trx, item)),
    },
  };
  await trx
    .insertInto("egret.outbox")
    .values({
      event_id: uuidv7(),
      workspace_id: workspaceId,
      kind: item.kind,
      object_id: item.id,
      change,
      version: item.version,
      data: JSON.stringify(data),
    })
    .execute();
}

/** What an operator set beside egret.yaml; nothing of what stands as it was made. */
async function operatedSettings(
  trx: Transaction<Database>,
  { kind, id }: StoredItem,
): Promise<Record<string, unknown>> {
  if (kind === "destination" || kind === "sync") {
    const row = await trx
      .selectFrom(kind === "sync" ? "egret.syncs" : "egret.destinations")
      .select("paused")
      .where("id", "=", id)
      .executeTakeFirst();
    return row?.paused === true ? { paused: true } : {};
  }
  if (kind !== "webhook") return {};
  const row = await trx
    .selectFrom("egret.webhooks")
    .select(["paused", "previous_secret_until as until", "disabled_at", "disabled_reason"])
    .where("id", "=", id)
    .executeTakeFirst();
  const until = row?.until ?? null;
  return {
    ...(row?.paused === true ? { paused: true } : {}),
    ...(row?.disabled_at
      ? {
          enabled: false,
          disabled_at: row.disabled_at.toISOString(),
          disabled_reason: row.disabled_reason,
        }
      : {}),
    ...(until !== null && until > new Date() ? { previous_secret_until: until.toISOString() } : {}),
  };
}
