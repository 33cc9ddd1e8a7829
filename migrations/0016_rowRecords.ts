/** Row-level records: settled batches keep what was sent until retention takes it, and rows set aside get an order. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Nobody is to begin sending it any more; one that is being sent keeps its rows for the record.
    alter table egret.batches add column withdrawn boolean not null default false;

    -- When retention took the rows of the run's batches; null while they are kept.
    alter table egret.plans add column records_dropped_at timestamptz;
    create index plans_records on egret.plans (run_id) where records_dropped_at is null;

    alter table egret.invalid_rows add column id bigint generated always as identity;
    drop index egret.invalid_rows_run;
    create unique index invalid_rows_place on egret.invalid_rows (run_id, id);
  `.execute(db);
}
