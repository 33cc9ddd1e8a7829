/** Batches that were cut in two, requests that are more than a body, and answers that speak of each row. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table egret.batches
      -- Of a half only: the number of the planned batch and which halves of it, as in 3_1_2.
      add column name text,
      -- Method, path and content type as JSON, where the destination needs more than a body; null for a webhook.
      add column request text,
      -- The rows as a JSON array, where a body was made from a template, so that its halves can be made from it too.
      add column source_records bytea,
      -- What the destination said of each row, in the order of keys: null for a row that it took.
      add column row_errors text[],
      add column rejected_records integer not null default 0,
      drop constraint batches_outcome_check,
      add constraint batches_outcome_check
        check (outcome in ('accepted', 'rejected', 'unavailable', 'dropped', 'split'));
    create unique index batches_name on egret.batches (run_id, name) where name is not null;
    alter table egret.batches alter column source_records set storage external;

    -- A batch that was cut in two stands here as its halves, with the number of the planned one.
    create or replace view egret_read.batches as
      select run_id, split_part(split_part(id, '-', 2), '_', 1)::integer as batch_no, id as delivery_id,
             target_id as destination_id, records, payload_sha256, state, attempts, http_status, error,
             created_at, ended_at
      from egret_read.deliveries as batch
      where target_kind = 'destination'
        and not (state = 'dead' and records > 1 and exists (
          select from egret_read.deliveries as half
          where half.target_kind = 'destination' and half.target_id = batch.target_id
            and half.run_id = batch.run_id and half.id = batch.id || '_1'));
  `.execute(db);
}
