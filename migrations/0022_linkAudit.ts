/** Forms that were sent with a link leave an entry in the audit, too: who wrote is a token, or a link. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Without a reference: an entry outlives its link.
    alter table egret.api_audit
      alter column token_id drop not null,
      add column link_id bigint,
      add constraint api_audit_one_writer check (num_nonnulls(token_id, link_id) = 1)
  `.execute(db);
}
