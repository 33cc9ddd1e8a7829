/** What applying a plan makes the next runs send again: told before it is applied. */
import type { Kysely } from "kysely";
import type { Plan } from "../configuration/plan.ts";
import { readSync } from "../configuration/store.ts";
import { wantedSync } from "../configuration/wantedSync.ts";
import { RunFailure } from "../domain/errors.ts";
import { PREVIEW_LIMITS } from "../engine/preview.ts";
import { type Resend as ResendOfSync, resendOf } from "../engine/resend.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";

/** A sync whose next run sends rows again that were accepted before. */
export type Resend = { sync: string } & ResendOfSync;

/** The syncs of a plan that have run before and whose next run is a full one because of a change in them. */
export async function resendsOf(
  { db, box }: { db: Kysely<Database>; box: SecretBox },
  plan: Plan,
): Promise<Resend[]> {
  const changed = plan.changes.filter(({ kind, action }) => kind === "sync" && action === "update");
  const found: Resend[] = [];
  for (const { name } of changed) {
    const row = await db
      .selectFrom("egret.syncs as sync")
      .innerJoin("egret.workspaces as workspace", "workspace.id", "sync.workspace_id")
      .select("sync.id")
      .where("workspace.name", "=", plan.workspace)
      .where("sync.name", "=", name)
      .executeTakeFirst();
    const stored = row === undefined ? null : await readSync(db, box, row.id);
    if (stored === null) continue;
    const wanted = await wantedSync(db, plan.items, stored);
    const resend = await resendOf(db, wanted, PREVIEW_LIMITS).catch((error: unknown) => {
      // What is wrong with it is said by the plan's own checks, or by its next run.
      if (error instanceof RunFailure) return null;
      throw error;
    });
    if (resend !== null) found.push({ sync: name, ...resend });
  }
  return found;
}
