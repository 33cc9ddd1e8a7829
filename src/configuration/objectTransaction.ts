/** One change of the configuration: checked while others go on, then checked and written while none does. */

import { type Kysely, sql, type Transaction } from "kysely";
import type { ConfigKind } from "../domain/aggregate.ts";
import { NotFound, VersionConflict } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { CONFIGURATION_LOCK } from "./announce.ts";
import type { StoredItem } from "./configItem.ts";
import { type ExpectedVersions, versionFault } from "./expectedVersions.ts";
import type { DescribeObject } from "./sourceChecks.ts";
import { readStoredItems } from "./storedItems.ts";

/** The workspace as it stands, and how its sources are asked. */
export interface Look {
  items: readonly StoredItem[];
  describe: DescribeObject;
}

/** A description is needed that was not made yet: not to be waited for under the lock. */
class Undescribed extends Error {}

const MOST_ATTEMPTS = 5;

/**
 * Prepares with the sources being asked, then again under the lock of all configuration changes, on what stands now
 * and with the answers that are there; begins anew when those do not suffice.
 * @throws VersionConflict when they never do; NotFound without such a workspace.
 */
export async function changing<P, T>(
  { db, box, describe }: { db: Kysely<Database>; box: SecretBox; describe: DescribeObject },
  { workspaceId }: { workspaceId: number },
  steps: {
    prepare(look: Look): Promise<P>;
    write(at: { trx: Transaction<Database>; items: readonly StoredItem[] }, prepared: P): Promise<T>;
  },
): Promise<T> {
  const answers = new Map<string, Awaited<ReturnType<DescribeObject>>>();
  const asking: DescribeObject = async (source, object) => {
    const columns = await describe(source, object);
    answers.set(questionOf(source, object), columns);
    return columns;
  };
  const remembering: DescribeObject = (source, object) => {
    const columns = answers.get(questionOf(source, object));
    return columns === undefined ? Promise.reject(new Undescribed()) : Promise.resolve(columns);
  };
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
    await steps.prepare({ items: await readItems(db, box, workspaceId), describe: asking });
    try {
      return await db.transaction().execute(async (trx) => {
        const items = await lockedItems(trx, box, workspaceId);
        return steps.write({ trx, items }, await steps.prepare({ items, describe: remembering }));
      });
    } catch (error) {
      if (!(error instanceof Undescribed)) throw error;
    }
  }
  throw new VersionConflict("What this depends on keeps changing; nothing was written: try again.");
}

function questionOf(...[source, object]: Parameters<DescribeObject>): string {
  return JSON.stringify([source.url, source.stateSchema ?? null, object]);
}

/** What stands in a workspace, with no other change under way until the transaction ends. */
export async function lockedItems(
  trx: Transaction<Database>,
  box: SecretBox,
  workspaceId: number,
): Promise<StoredItem[]> {
  await sql`select pg_advisory_xact_lock(${CONFIGURATION_LOCK})`.execute(trx);
  return readItems(trx, box, workspaceId);
}

/** @throws NotFound when there is no such workspace. */
export async function readItems(
  db: Kysely<Database>,
  box: SecretBox,
  workspaceId: number,
): Promise<StoredItem[]> {
  const items = await readStoredItems(db, box, workspaceId);
  if (items.length === 0) throw new NotFound(`there is no workspace ${workspaceId}`);
  return items;
}

/** @throws NotFound when the workspace has no such object; VersionConflict when it is of another version than was expected. */
export function findItem(
  items: readonly StoredItem[],
  { kind, id, expectedVersions }: { kind: ConfigKind; id: number; expectedVersions: ExpectedVersions },
): StoredItem {
  const item = items.find((each) => each.kind === kind && each.id === id);
  if (item === undefined) throw new NotFound(`there is no ${kind} ${id}`);
  const fault = versionFault(item.version, expectedVersions);
  if (fault !== null)
    throw new VersionConflict(`${kind} ${item.name} was changed meanwhile: ${fault}. Read it again.`);
  return item;
}
