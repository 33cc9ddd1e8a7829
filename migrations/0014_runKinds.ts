/** Dry and test runs beside normal ones, the step a run is at, and what was said in a test. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table egret_read.runs
      add column run_kind     text not null default 'normal',
      add column current_step text,
      add column report       jsonb;

    update egret_read.runs set current_step = case
      when status = 'queued' then 'Running sync'
      when source_record_count is null and destination_id is null
        then 'Checking source and destination configuration'
      when source_record_updates is null then 'Unloading data from warehouse'
      else 'Loading data into destination service' end
    where status in ('queued', 'working', 'failed');

    -- One row per test run: which row was wanted, and what was sent and answered. It holds row values.
    create table egret.tests (
      run_id     bigint primary key,
      sync_id    bigint not null,
      identifier text,
      request    jsonb,
      response   jsonb,
      created_at timestamptz not null default now()
    );
  `.execute(db);
}
