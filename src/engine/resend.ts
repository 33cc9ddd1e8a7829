/** What a sync's next run sends again because of a change: told before the change is made. */
import type { Kysely } from "kysely";
import type { Sync } from "../domain/configuration.ts";
import type { Database } from "../projections/database.ts";
import type { SourceLimits } from "../sources/source.ts";
import { compileSync } from "./compileSync.ts";
import type { FullSyncReason } from "./fullSync.ts";
import { countRemembered } from "./remembered.ts";
import { resolveRun } from "./syncState.ts";

/** A next run that sends rows again that were accepted before. */
export interface Resend {
  reasons: FullSyncReason[];
  /** Null: every row of the source, however many they are. */
  rows: number | null;
}

/**
 * What the next run of the sync, as it is to be, sends again; null when it goes on from what was accepted, and when
 * there was no run before.
 * @throws RunFailure when the source does not answer, or the sync does not fit it.
 */
export async function resendOf(
  db: Kysely<Database>,
  sync: Sync,
  limits: SourceLimits,
): Promise<Resend | null> {
  const compiled = await compileSync(sync, limits);
  const { fullSync, reasons, beginsAnew } = await resolveRun(db, sync, compiled, false);
  if (!fullSync || reasons.includes("first_run")) return null;
  return { reasons, rows: beginsAnew ? null : await countRemembered(db, sync.id) };
}
