/** The operations of a sync: what each batch does, deletes of a plan, watermarks, and rows that a watermark left behind. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table egret.batches
      add column operation text not null default 'upsert'
        check (operation in ('upsert', 'update', 'insert', 'append', 'delete')),
      -- The records as they were written, in the order of keys, where the state keeps the last accepted one.
      add column row_records text[];

    alter table egret.plans
      add column deletes bigint not null default 0,
      -- What the state stands for once the run is committed: parts of the mapping as JSON, and the watermark.
      add column fingerprint text,
      add column high_water_mark text;

    alter table egret.sync_states
      add column high_water_mark text,
      -- The last run that was committed; null before the first, and again when the state begins anew.
      add column committed_run_id bigint;

    -- Rows that a watermark has passed and that are still to be sent: rejected ones, and ones that were invalid.
    create table egret.retry_keys (
      sync_id bigint not null,
      key     text collate "C" not null,
      -- The run that tried it last: those that waited longest come first.
      run_id  bigint not null,
      primary key (sync_id, key)
    );
  `.execute(db);
}
