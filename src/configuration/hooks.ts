/** Inbound hooks: addresses that start a sync. A token is shown once and kept as its hash alone. */
import { createHash, randomBytes } from "node:crypto";
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";

/** `dbt_cloud` starts on a job run that completed with success; `generic` on every request. */
export type HookKind = "generic" | "dbt_cloud";

/** A hook as it may be shown. */
export interface Hook {
  id: number;
  workspaceId: number;
  syncId: number;
  syncName: string;
  kind: HookKind;
  createdBy: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** A hook that is in force, as a request finds it. */
export interface FoundHook {
  id: number;
  workspaceId: number;
  syncId: number;
  kind: HookKind;
}

const TOKEN_BYTES = 32;

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** Makes a hook; the token is in the answer and nowhere else readable. */
export async function createHook(
  db: Kysely<Database>,
  hook: { workspaceId: number; syncId: number; kind: HookKind; actor: string },
): Promise<{ id: number; token: string }> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const { id } = await db
    .insertInto("egret.hooks")
    .values({
      workspace_id: hook.workspaceId,
      sync_id: hook.syncId,
      kind: hook.kind,
      token_sha256: hashOf(token),
      created_by: hook.actor,
    })
    .returning("id")
    .executeTakeFirstOrThrow();
  return { id, token };
}

/** The hook of a token, noting that it was used; null for one that is unknown or revoked. */
export async function findHook(db: Kysely<Database>, token: string): Promise<FoundHook | null> {
  // Found by its hash: what a token shares with another one does not show in the time it takes.
  const { rows } = await sql<FoundHook>`
    update egret.hooks set last_used_at = now()
    where token_sha256 = ${hashOf(token)} and revoked_at is null
    returning id, workspace_id as "workspaceId", sync_id as "syncId", kind`.execute(db);
  return rows[0] ?? null;
}

/** The hooks of a workspace, revoked ones included, oldest first. */
export async function listHooks(db: Kysely<Database>, workspaceId: number): Promise<Hook[]> {
  return db
    .selectFrom("egret.hooks as hook")
    .innerJoin("egret.syncs as sync", "sync.id", "hook.sync_id")
    .select(["hook.id", "hook.workspace_id as workspaceId", "hook.sync_id as syncId", "hook.kind"])
    .select(["sync.name as syncName", "hook.created_by as createdBy", "hook.created_at as createdAt"])
    .select(["hook.last_used_at as lastUsedAt", "hook.revoked_at as revokedAt"])
    .where("hook.workspace_id", "=", workspaceId)
    .orderBy("hook.id")
    .execute();
}

/** Takes a hook out of force, for good; false when there is none such, or it was revoked before. */
export async function revokeHook(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number; id: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("egret.hooks")
    .set({ revoked_at: sql<Date>`now()` })
    .where("workspace_id", "=", workspaceId)
    .where("id", "=", id)
    .where("revoked_at", "is", null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}
