/** Workspaces one at a time, for the API and the command line; egret.yaml makes its own as it is applied. */

import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import { InUse, NotFound, VersionConflict } from "../domain/errors.ts";
import type { WorkspaceTable } from "../projections/configurationTables.ts";
import type { Database } from "../projections/database.ts";
import { announce, CONFIGURATION_LOCK } from "./announce.ts";
import type { StoredItem } from "./configItem.ts";
import { type ExpectedVersions, versionFault } from "./expectedVersions.ts";
import { nameFor } from "./objectNames.ts";
import { invalidObject, labelFaults } from "./objectProblems.ts";

/** A workspace's row. */
export type Workspace = Selectable<WorkspaceTable>;

/** What people set of a workspace. */
export interface WorkspaceFields {
  /** Free text; egret.yaml goes by a short name made from it. */
  label: string;
  notificationEmails: readonly string[];
}

/** Which workspace, as which one it is known, and who changes it. */
export interface WorkspaceChange {
  id: number;
  expectedVersions: ExpectedVersions;
  actor: string;
}

/** A workspace, or null. */
export async function readWorkspace(db: Kysely<Database>, id: number): Promise<Workspace | null> {
  const row = await db.selectFrom("egret.workspaces").selectAll().where("id", "=", id).executeTakeFirst();
  return row ?? null;
}

/** Workspaces in the order in which they were made, and how many there are in all. */
export async function listWorkspaces(
  db: Kysely<Database>,
  cut: { limit: number; offset: number; order: "asc" | "desc"; afterId: number | null },
): Promise<{ rows: Workspace[]; total: number }> {
  const { total } = await db
    .selectFrom("egret.workspaces")
    .select((select) => select.fn.countAll<number>().as("total"))
    .executeTakeFirstOrThrow();
  let page = db
    .selectFrom("egret.workspaces")
    .selectAll()
    .orderBy("id", cut.order)
    .limit(cut.limit)
    .offset(cut.offset);
  if (cut.afterId !== null) page = page.where("id", cut.order === "asc" ? ">" : "<", cut.afterId);
  return { rows: await page.execute(), total };
}

/**
 * Makes a workspace, with a short name that no other has.
 * @throws InvalidInput when its name cannot be one.
 */
export async function createWorkspace(
  db: Kysely<Database>,
  { label, notificationEmails, actor }: WorkspaceFields & { actor: string },
): Promise<Workspace> {
  refuseLabel(label);
  return locked(db, async (trx) => {
    const others = await trx.selectFrom("egret.workspaces").select("name").execute();
    const name = nameFor(label.trim(), "workspace", new Set(others.map((other) => other.name)));
    const row = await trx
      .insertInto("egret.workspaces")
      .values({ name, label: label.trim(), notification_emails: [...notificationEmails] })
      .returningAll()
      .executeTakeFirstOrThrow();
    await announce({ trx, actor, workspaceId: row.id }, "created", itemOf(row));
    return row;
  });
}

/**
 * Changes what is given; the short name stays, since egret.yaml may go by it.
 * @throws NotFound; VersionConflict; InvalidInput when its name cannot be one.
 */
export async function updateWorkspace(
  db: Kysely<Database>,
  { label, notificationEmails, ...change }: Partial<WorkspaceFields> & WorkspaceChange,
): Promise<Workspace> {
  if (label !== undefined) refuseLabel(label);
  return locked(db, async (trx) => {
    const { version } = await standing(trx, change);
    const row = await trx
      .updateTable("egret.workspaces")
      .set({
        version: version + 1,
        updated_at: sql<Date>`now()`,
        ...(label === undefined ? {} : { label: label.trim() }),
        ...(notificationEmails === undefined ? {} : { notification_emails: [...notificationEmails] }),
      })
      .where("id", "=", change.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    await announce({ trx, actor: change.actor, workspaceId: row.id }, "updated", itemOf(row));
    return row;
  });
}

/**
 * Deletes an empty workspace, and with it its keys.
 * @throws InUse naming what it still has; NotFound; VersionConflict.
 */
export async function deleteWorkspace(db: Kysely<Database>, change: WorkspaceChange): Promise<void> {
  await locked(db, async (trx) => {
    const row = await standing(trx, change);
    const left = await contentsOf(trx, row.id);
    if (left !== "")
      throw new InUse(`Workspace ${row.label ?? row.name} still has ${left}: delete those first.`);
    await trx.deleteFrom("egret.workspaces").where("id", "=", row.id).execute();
    const gone = itemOf({ ...row, version: row.version + 1 });
    await announce({ trx, actor: change.actor, workspaceId: row.id }, "deleted", gone);
  });
}

function locked<T>(db: Kysely<Database>, change: (trx: Transaction<Database>) => Promise<T>): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${CONFIGURATION_LOCK})`.execute(trx);
    return change(trx);
  });
}

async function standing(
  trx: Transaction<Database>,
  { id, expectedVersions }: WorkspaceChange,
): Promise<Workspace> {
  const row = await readWorkspace(trx, id);
  if (row === null) throw new NotFound(`there is no workspace ${id}`);
  const fault = versionFault(row.version, expectedVersions);
  if (fault !== null) {
    const name = row.label ?? row.name;
    throw new VersionConflict(`Workspace ${name} was changed meanwhile: ${fault}. Read it again.`);
  }
  return row;
}

const CONTENTS = ["syncs", "models", "sources", "destinations", "webhooks"] as const;

/** `2 syncs, 1 sources`; an empty text when there is nothing. */
async function contentsOf(trx: Transaction<Database>, workspaceId: number): Promise<string> {
  const told: string[] = [];
  for (const kind of CONTENTS) {
    const { total } = await trx
      .selectFrom(`egret.${kind}`)
      .where("workspace_id", "=", workspaceId)
      .select((select) => select.fn.countAll<number>().as("total"))
      .executeTakeFirstOrThrow();
    if (total > 0) told.push(`${total} ${total === 1 ? kind.slice(0, -1) : kind}`);
  }
  return told.join(", ");
}

/** The addresses of people stay out of it: what is announced goes into the log for good. */
function itemOf({ id, name, label, version }: Workspace): StoredItem {
  const common = { settings: {}, secrets: {}, attributes: {}, managedBy: "api" } as const;
  return { kind: "workspace", id, name, label, version, ...common };
}

function refuseLabel(label: string): void {
  const faults = labelFaults(label).map(({ message }) => ({ field: "name", message }));
  if (faults.length > 0) throw invalidObject(faults);
}
