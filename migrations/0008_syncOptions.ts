/** Options of a sync: schedule, append and mirror, fuses, order and names of fields, alerts. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table egret.syncs add column options jsonb not null default '{}'`.execute(db);
}
