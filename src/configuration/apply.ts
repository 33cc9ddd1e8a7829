/** Makes a plan true, all of it or nothing, and leaves one outbox row per change for the log. */
import { type Kysely, sql, type Transaction } from "kysely";
import type { ConfigKind } from "../domain/aggregate.ts";
import { InvalidInput, VersionConflict } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { announce, CONFIGURATION_LOCK } from "./announce.ts";
import { type Change, type ConfigItem, changesBetween, type StoredItem } from "./configItem.ts";
import { createItem, deleteItem, keepColumns, updateItem } from "./itemWriter.ts";
import { stillUsed, stillUsedMessage } from "./objectUses.ts";
import type { Plan } from "./plan.ts";
import { readStoredItems } from "./storedItems.ts";

/** What was done, and the secrets that were made on the way. */
export interface Applied {
  changes: Change[];
  /** To be shown once: they cannot be read again. */
  webhookSecrets: { name: string; secret: string }[];
}

interface Work {
  trx: Transaction<Database>;
  box: SecretBox;
  actor: string;
  workspaceId: number;
  /** Ids by kind and name, of what stood before and what was created since. */
  ids: Map<string, number>;
  webhookSecrets: Applied["webhookSecrets"];
}

/**
 * Applies a plan in one transaction; `actor` says who, such as `egret apply`.
 * @throws VersionConflict when the configuration is no longer what the plan was made from; InvalidInput when a sync
 * that goes away has a run under way, or something goes that is used by what the API made. Nothing was changed then.
 */
export async function applyChanges(input: {
  db: Kysely<Database>;
  box: SecretBox;
  plan: Plan;
  actor: string;
}): Promise<Applied> {
  const { db, box, plan, actor } = input;
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${CONFIGURATION_LOCK})`.execute(trx);
    const stored = await readStoredItems(trx, box, plan.workspace);
    const changes = changesBetween(stored, plan.items);
    if (JSON.stringify(changes) !== JSON.stringify(plan.changes)) {
      throw new VersionConflict(
        `the configuration of ${plan.workspace} changed since this plan was made; nothing was applied: plan again`,
      );
    }
    const used = stillUsed(stored, changes).map((use) => ({
      field: `${use.kind}s.${use.name}`,
      message: stillUsedMessage(use),
    }));
    if (used.length > 0) throw new InvalidInput("Something is still used; nothing was applied", used);
    const ids = new Map(stored.map((item) => [itemKey(item.kind, item.name), item.id]));
    const workspaceId = ids.get(itemKey("workspace", plan.workspace)) ?? 0;
    const work: Work = { trx, box, actor, workspaceId, ids, webhookSecrets: [] };
    for (const change of changes) await applyChange(work, change, { stored, wanted: plan.items });
    for (const [model, columns] of plan.columns) await keepColumns(trx, idOf(work, "model", model), columns);
    return { changes, webhookSecrets: work.webhookSecrets };
  });
}

function itemKey(kind: ConfigKind, name: string): string {
  return `${kind} ${name}`;
}

async function applyChange(
  work: Work,
  change: Change,
  { stored, wanted }: { stored: readonly StoredItem[]; wanted: readonly ConfigItem[] },
): Promise<void> {
  const isMeant = (item: ConfigItem): boolean => item.kind === change.kind && item.name === change.name;
  const old = stored.find(isMeant);
  const item = wanted.find(isMeant);
  const writer = { ...work, idOf: (kind: ConfigKind, name: string) => idOf(work, kind, name) };
  if (change.action === "create" && item !== undefined) {
    const { id, webhookSecret } = await createItem(writer, item);
    const made = { id, version: 1, managedBy: "file", label: null, attributes: {} } as const;
    work.ids.set(itemKey(item.kind, item.name), id);
    if (item.kind === "workspace") work.workspaceId = id;
    if (webhookSecret !== null) work.webhookSecrets.push({ name: item.name, secret: webhookSecret });
    await announce(work, "created", { ...item, ...made });
  } else if (change.action === "update" && item !== undefined && old !== undefined) {
    const { id, label, attributes } = old;
    const version = old.version + 1;
    await updateItem(writer, { ...item, id, version }, { managedBy: "file" });
    await announce(work, "updated", { ...item, id, version, managedBy: "file", label, attributes });
  } else if (change.action === "delete" && old !== undefined) {
    await deleteItem(work.trx, old);
    await announce(work, "deleted", { ...old, version: old.version + 1 });
  }
}

function idOf(work: Work, kind: ConfigKind, name: string): number {
  const id = work.ids.get(itemKey(kind, name));
  // The file's references were checked, and kinds are written before those that refer to them.
  if (id === undefined) throw new Error(`${kind} ${name} is not written yet`);
  return id;
}
