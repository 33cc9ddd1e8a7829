/** The operator's tools: paused endpoints, secrets that overlap, replays and how far each is, deliveries in order of time. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Beside the declared settings: egret apply neither shows nor touches these.
    alter table egret.webhooks
      add column paused boolean not null default false,
      add column previous_secret text,
      add column previous_secret_until timestamptz,
      add check ((previous_secret is null) = (previous_secret_until is null));
    alter table egret.destinations add column paused boolean not null default false;

    create sequence egret.replay_ids as bigint;

    -- How far each replay is. That there is one, and how it ended, stands in the log.
    create table egret.replays (
      id              bigint primary key,
      workspace_id    bigint not null,
      requested_by    text not null,
      rate_per_second integer not null,
      wanted          jsonb not null,
      state           text not null check (state in ('requested', 'completed', 'failed', 'cancelled')),
      -- Place of the last delivery or event that was taken; null before the first.
      cursor          jsonb,
      -- What was taken and is not counted yet: a worker that dies leaves it to the next one.
      taken           jsonb,
      total           bigint,
      replayed        bigint not null default 0,
      skipped         jsonb not null default '{}',
      cancelled_by    text,
      error           text,
      requested_at    timestamptz not null,
      updated_at      timestamptz not null default now(),
      ended_at        timestamptz
    );

    alter table egret_read.deliveries add column redeliveries integer not null default 0;
    -- The one index that lists and searches page along. Its columns never change, so an update of a row leaves it alone.
    create index deliveries_created on egret_read.deliveries (created_at, id);
  `.execute(db);
}
