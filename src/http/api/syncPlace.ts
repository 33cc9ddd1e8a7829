/** Finds a sync in the caller's workspace. */
import type { Kysely } from "kysely";
import type { Database } from "../../projections/database.ts";
import { notFound } from "./apiErrors.ts";

/** @throws ApiRefusal (404) when the workspace has no such sync. */
export async function requireSync(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number; id: number },
): Promise<{ id: number; name: string }> {
  const row = await db
    .selectFrom("egret.syncs")
    .select(["id", "name"])
    .where("id", "=", id)
    .where("workspace_id", "=", workspaceId)
    .executeTakeFirst();
  if (row === undefined) throw notFound();
  return row;
}
