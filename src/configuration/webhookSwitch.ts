/**
 * Switches webhooks off and on beside egret.yaml: by itself, after what their endpoint did, or by an operator, through
 * the API or not. One that was switched off here stays off until it is switched on again, whatever file is applied,
 * unless the file itself disables it and enables it again.
 */
import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import { NotFound } from "../domain/errors.ts";
import type { WebhookTable } from "../projections/configurationTables.ts";
import type { Database } from "../projections/database.ts";
import { announce, CONFIGURATION_LOCK } from "./announce.ts";
import type { DisabledElsewhere, StoredItem } from "./configItem.ts";
import { webhookItem } from "./storedItems.ts";

/** A webhook after a switch that did or did not have to be moved. */
export interface Switched {
  workspaceId: number;
  name: string;
  /** False when it stood there already: then nothing was written. */
  isChanged: boolean;
  configVersion: number;
  /** Why it was off before, when something else than the file had disabled it. */
  wasDisabled: DisabledElsewhere | null;
}

type Row = Selectable<WebhookTable>;

/**
 * Disables a webhook; it gets no new deliveries, and what waits for it is dropped.
 * @throws NotFound when it was deleted.
 */
export function disableWebhook(
  db: Kysely<Database>,
  { id, reason, actor }: { id: number; reason: DisabledElsewhere["reason"]; actor: string },
): Promise<Switched> {
  return switching(db, { id, actor, to: { enabled: false, reason } });
}

/**
 * Enables a webhook again, whatever disabled it.
 * @throws NotFound when it was deleted.
 */
export function enableWebhook(
  db: Kysely<Database>,
  { id, actor }: { id: number; actor: string },
): Promise<Switched> {
  return switching(db, { id, actor, to: { enabled: true } });
}

/** What an endpoint did: it answered 410, or so many deliveries in a row were lost. */
export interface Misbehaviour {
  reason: "gone" | "exhausted";
  exhaustedInARow: number;
}

/**
 * Disables a webhook whose options ask for it after that; null when they do not, or when it is off or gone already.
 * Behaviour.md 6.10: by default nothing is disabled.
 */
export async function autoDisableWebhook(
  db: Kysely<Database>,
  id: number,
  { reason, exhaustedInARow }: Misbehaviour,
): Promise<{ configVersion: number; reason: "gone" | "exhausted" } | null> {
  // Asked without the lock: mostly the answer is no.
  const row = await db
    .selectFrom("egret.webhooks")
    .select(["enabled", "disable_on_gone", "auto_disable_after_exhausted as most"])
    .where("id", "=", id)
    .executeTakeFirst();
  if (row === undefined || !row.enabled) return null;
  const isGone = reason === "gone" && row.disable_on_gone;
  if (!isGone && (row.most === null || exhaustedInARow < row.most)) return null;
  const why = isGone ? "gone" : "exhausted";
  try {
    const { isChanged, configVersion } = await disableWebhook(db, {
      id,
      reason: why,
      actor: "egret auto-disable",
    });
    return isChanged ? { configVersion, reason: why } : null;
  } catch (error) {
    if (error instanceof NotFound) return null;
    throw error;
  }
}

/** Where the switch is to stand. */
export type SwitchPosition = { enabled: true } | { enabled: false; reason: DisabledElsewhere["reason"] };

/**
 * Moves the switch, for whoever does it, in a transaction under the lock of configuration changes; false when it stood
 * there already: then why and since when it is off stays as it is. Its version and the outbox are the caller's affair.
 */
export async function moveSwitch(
  trx: Transaction<Database>,
  id: number,
  to: SwitchPosition,
): Promise<boolean> {
  const off = to.enabled ? null : { disabled_at: sql<Date>`now()`, disabled_reason: to.reason };
  const { numUpdatedRows } = await trx
    .updateTable("egret.webhooks")
    .set({ enabled: to.enabled, ...(off ?? { disabled_at: null, disabled_reason: null }) })
    .where("id", "=", id)
    .where("enabled", "=", !to.enabled)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** One change under the lock of all configuration changes, with its outbox row in the same transaction. */
async function switching(
  db: Kysely<Database>,
  { id, actor, to }: { id: number; actor: string; to: SwitchPosition },
): Promise<Switched> {
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${CONFIGURATION_LOCK})`.execute(trx);
    const row = await read(trx, id);
    const workspaceId = row.workspace_id;
    const wasDisabled = asItem(row).disabled ?? null;
    const switched = { workspaceId, name: row.name, wasDisabled };
    if (!(await moveSwitch(trx, id, to))) {
      return { ...switched, isChanged: false, configVersion: row.version };
    }
    const configVersion = row.version + 1;
    const updated = await setVersion(trx, id, configVersion);
    await announce({ trx, actor, workspaceId }, "updated", asItem(updated));
    return { ...switched, isChanged: true, configVersion };
  });
}

/** Of secrets an announcement tells only which there are: they stay sealed. */
function asItem(row: Row): StoredItem {
  return webhookItem(row, row.tls === null ? {} : { tls: {} });
}

async function read(trx: Transaction<Database>, id: number): Promise<Row> {
  const row = await trx.selectFrom("egret.webhooks").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw new NotFound(`webhook ${id} was deleted meanwhile`);
  return row;
}

function setVersion(trx: Transaction<Database>, id: number, version: number): Promise<Row> {
  return trx
    .updateTable("egret.webhooks")
    .set({ version, updated_at: sql<Date>`now()` })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirstOrThrow();
}
