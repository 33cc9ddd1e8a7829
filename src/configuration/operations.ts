/** What operators change beside egret.yaml: an endpoint paused or resumed, a webhook's secret rotated. */
import { type Kysely, sql, type Transaction } from "kysely";
import { NotFound } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { newWebhookSecret } from "../security/signature.ts";
import { announce, CONFIGURATION_LOCK } from "./announce.ts";
import type { StoredItem } from "./configItem.ts";
import { secretPurpose } from "./secretPurpose.ts";
import { readStoredItems } from "./storedItems.ts";

/** What is operated on, by its id, and by whom. */
export interface Operation {
  db: Kysely<Database>;
  box: SecretBox;
  kind: "webhook" | "destination" | "sync";
  id: number;
  /** Who, such as `egret webhook pause`. */
  actor: string;
}

const TABLES = { webhook: "egret.webhooks", destination: "egret.destinations", sync: "egret.syncs" } as const;

/**
 * Pauses or resumes a target or a sync; false when it was so already, and then nothing is written. Deliveries of a
 * paused target wait without spending attempts, a paused sync starts by hand only; applying an unchanged file does not
 * resume it.
 * @throws NotFound when it was deleted.
 */
export function setPaused(operation: Operation, paused: boolean): Promise<boolean> {
  const { kind, id } = operation;
  return changing(operation, async (trx, version) => {
    const { numAffectedRows } = await sql`
      update ${sql.table(TABLES[kind])} set paused = ${paused}, version = ${version}, updated_at = now()
      where id = ${id} and paused <> ${paused}`.execute(trx);
    return { isChanged: numAffectedRows === 1n, result: numAffectedRows === 1n };
  });
}

/** A new secret, to be shown once, and until when the one before signs beside it; null when it stopped at once. */
export interface RotatedSecret {
  secret: string;
  previousUntil: Date | null;
}

/**
 * Gives a webhook a new secret. With an overlap the old one goes on signing beside it for that long; a rotation during
 * an overlap ends the older secret's. Without, it stops at once (ours; behaviour.md 6.1).
 * @throws NotFound when it was deleted.
 */
export function rotateWebhookSecret(
  operation: Omit<Operation, "kind">,
  overlapMs: number,
): Promise<RotatedSecret> {
  const { box, id } = operation;
  return changing({ ...operation, kind: "webhook" }, async (trx, version) => {
    const row = await trx
      .selectFrom("egret.webhooks")
      .select(["name", "workspace_id", "secret"])
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
    const secret = newWebhookSecret();
    const previousUntil = overlapMs > 0 ? new Date(Date.now() + overlapMs) : null;
    await trx
      .updateTable("egret.webhooks")
      .set({
        secret: box.seal(secretPurpose("webhook", row.workspace_id, row.name), secret),
        // Sealed for the same row, so the ciphertext moves as it is.
        previous_secret: previousUntil === null ? null : row.secret,
        previous_secret_until: previousUntil,
        version,
        updated_at: new Date(),
      })
      .where("id", "=", id)
      .execute();
    return { isChanged: true, result: { secret, previousUntil } };
  });
}

/** One change under the lock of all configuration changes, announced in its own transaction. */
async function changing<T>(
  { db, box, kind, id, actor }: Operation,
  change: (trx: Transaction<Database>, version: number) => Promise<{ isChanged: boolean; result: T }>,
): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${CONFIGURATION_LOCK})`.execute(trx);
    const { item, workspaceId } = await readItem(trx, box, { kind, id });
    const version = item.version + 1;
    const { isChanged, result } = await change(trx, version);
    if (isChanged) await announce({ trx, actor, workspaceId }, "updated", { ...item, version });
    return result;
  });
}

async function readItem(
  trx: Transaction<Database>,
  box: SecretBox,
  { kind, id }: Pick<Operation, "kind" | "id">,
): Promise<{ item: StoredItem; workspaceId: number }> {
  const { rows } = await sql<{ id: number; name: string }>`
    select workspace.id, workspace.name from egret.workspaces workspace
    join ${sql.table(TABLES[kind])} item on item.workspace_id = workspace.id where item.id = ${id}`.execute(
    trx,
  );
  const row = rows[0];
  const items = row === undefined ? [] : await readStoredItems(trx, box, row.name);
  const item = items.find((each) => each.kind === kind && each.id === id);
  if (row === undefined || item === undefined) throw new NotFound(`${kind} ${id} was deleted meanwhile`);
  return { item, workspaceId: row.id };
}
