/** Small requests cost less: open batches are found by their numbers, and a changed hash is written beside the old one. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- With the run alone, each lookup of one batch read all that were still open.
    drop index egret.batches_open;
    create index batches_open on egret.batches (run_id, batch_no) where outcome is null;

    -- As states are made from now on. Pages that are full stay so until their rows have changed.
    do $$
    declare
      state regclass;
    begin
      for state in
        select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'egret_state' and c.relkind = 'r' and c.relname ~ '^rows_[0-9]+$'
      loop
        execute format('alter table %s set (fillfactor = 50)', state);
      end loop;
    end $$;
  `.execute(db);
}
