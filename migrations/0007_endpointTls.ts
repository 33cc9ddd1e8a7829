/** Webhooks whose endpoint is reached by TLS settings of its own: an authority, a client certificate. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table egret.webhooks add column tls text`.execute(db);
}
