/** Takes batches back that nobody is to begin sending any more. */
import type { Kysely } from "kysely";
import type { Database } from "../projections/database.ts";

/** Withdrawn, a batch is given up by whoever would send it; one that is being sent keeps its rows and counts. */
export async function withdrawBatches(
  db: Kysely<Database>,
  runId: number,
  batchNos: readonly number[],
): Promise<void> {
  if (batchNos.length === 0) return;
  await db
    .updateTable("egret.batches")
    .set({ withdrawn: true })
    .where("run_id", "=", runId)
    .where("batch_no", "in", [...batchNos])
    .where("outcome", "is", null)
    .execute();
}
