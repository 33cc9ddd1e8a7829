/** A claim keeps what was asked for: a run whose claimant died before it began is begun as that by whoever finds it. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Null where the command joined a run that another had caused, and in what is older than this.
    alter table egret.accepted_commands
      -- Free text: who or what asked.
      add column reason text,
      -- The rest of the command, without the sync.
      add column asked jsonb
  `.execute(db);
}
