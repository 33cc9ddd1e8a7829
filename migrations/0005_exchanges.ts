/** What was said on the wire, one row per request, by days that retention drops whole; and what else it looks for. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Headers and bodies never enter the log: they live here and nowhere else. Partitions are days (UTC) of started_at,
    -- named exchanges_20260131, made by the first worker that needs one.
    create table egret.exchanges (
      target_kind      text not null,
      target_id        bigint not null,
      delivery_id      text collate "C" not null,
      attempt          integer not null,
      started_at       timestamptz not null,
      request_headers  jsonb not null,
      response_headers jsonb,
      response_body    text,
      dns_ms           real,
      connect_ms       real,
      tls_ms           real,
      first_byte_ms    real,
      total_ms         real not null
    ) partition by range (started_at);
    create index exchanges_delivery on egret.exchanges (delivery_id);

    -- Retention goes by runs: the oldest ones are found at one end of this index.
    create index accepted_commands_run on egret.accepted_commands (run_id);
  `.execute(db);
}
