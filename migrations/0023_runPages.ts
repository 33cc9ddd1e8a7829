/** Lists of runs go by workspace: one with few runs among many was read through those of all others, page and count. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- With the kind, by which every list narrows, a count reads the index alone. None of the three ever changes in a run.
    create index runs_workspace on egret_read.runs (workspace_id, id desc) include (run_kind);
  `.execute(db);
}
