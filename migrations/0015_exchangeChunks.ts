/** Exchanges in chunks: a few compressed rows a second at most, where one row each cost a fifth of all that a delivery costs. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop table egret.exchanges;

    -- Partitions are days (UTC) of kept_at, named exchanges_20260131, made by the first worker that needs one.
    create table egret.exchanges (
      kept_at   timestamptz not null,
      targets   text[] collate "C" not null,
      exchanges integer not null,
      lines     bytea not null
    ) partition by range (kept_at);
    create index exchanges_kept on egret.exchanges (kept_at);
    -- They are compressed already.
    alter table egret.exchanges alter column lines set storage external;
  `.execute(db);
}
