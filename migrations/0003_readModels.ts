/** Read models: everything in schema `egret_read` is made from the log alone and can be made again. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create schema egret_read;

    create table egret_read.checkpoints (
      stream         text primary key,
      last_sequence  bigint not null,
      stream_created timestamptz not null
    );

    create table egret_read.runs (
      id                     bigint primary key,
      workspace_id           bigint not null,
      sync_id                bigint not null,
      sync_name              text not null,
      command_id             text not null,
      status                 text not null,
      state                  text not null,
      version                integer not null,
      trigger_tag            text not null,
      trigger_detail         text not null,
      destination_id         bigint,
      full_sync              boolean not null,
      full_sync_reasons      text[] not null default '{}',
      canceled               boolean not null default false,
      source_record_count    bigint,
      source_record_updates  bigint,
      source_record_deletes  bigint,
      source_record_invalids bigint,
      batches                integer,
      records_processed      bigint,
      records_updated        bigint,
      records_failed         bigint,
      error_code             text,
      error_message          text,
      error_detail           text,
      created_at             timestamptz not null,
      started_at             timestamptz,
      completed_at           timestamptz,
      updated_at             timestamptz not null
    );
    create index runs_sync on egret_read.runs (sync_id, id desc);

    -- Deliveries and attempts go by whole partitions, ranges of run ids that the projector makes as runs come: every
    -- event names its run, so each finds its partition without a search. Ids compare by bytes, not by the locale.
    create table egret_read.deliveries (
      id              text collate "C" not null,
      workspace_id    bigint not null,
      target_kind     text not null,
      target_id       bigint not null,
      sync_id         bigint not null,
      run_id          bigint not null,
      event           text,
      event_id        text,
      records         integer not null,
      payload         text,
      payload_sha256  text not null,
      state           text not null,
      version         integer not null,
      attempts        integer not null,
      http_status     integer,
      error           text,
      death_reason    text,
      next_attempt_at timestamptz,
      created_at      timestamptz not null,
      updated_at      timestamptz not null,
      ended_at        timestamptz,
      primary key (target_kind, target_id, id, run_id)
    ) partition by range (run_id);
    create index deliveries_run on egret_read.deliveries (run_id);

    create table egret_read.attempts (
      run_id      bigint not null,
      target_kind text not null,
      target_id   bigint not null,
      delivery_id text collate "C" not null,
      attempt     integer not null,
      started_at  timestamptz not null,
      duration_ms double precision not null,
      http_status integer,
      error       text,
      primary key (run_id, target_kind, target_id, delivery_id, attempt)
    ) partition by range (run_id);

    -- The batches of each run, seen as what was sent and what came of it.
    create view egret_read.batches as
      select run_id, split_part(id, '-', 2)::integer as batch_no, id as delivery_id, target_id as destination_id,
             records, payload_sha256, state, attempts, http_status, error, created_at, ended_at
      from egret_read.deliveries where target_kind = 'destination';

    create table egret_read.syncs (
      id           bigint primary key,
      workspace_id bigint not null,
      name         text not null,
      settings     jsonb not null,
      status       text not null,
      last_run_id  bigint,
      last_run_at  timestamptz,
      deleted      boolean not null default false,
      created_at   timestamptz not null,
      updated_at   timestamptz not null
    );

    create table egret_read.webhooks (
      id              bigint primary key,
      workspace_id    bigint not null,
      name            text not null,
      settings        jsonb not null,
      last_success_at timestamptz,
      last_failure_at timestamptz,
      deleted         boolean not null default false,
      created_at      timestamptz not null,
      updated_at      timestamptz not null
    );

    create table egret_read.config_changes (
      event_id     text primary key,
      workspace_id bigint not null,
      kind         text not null,
      object_id    bigint not null,
      change       text not null,
      version      integer not null,
      name         text not null,
      actor        text not null,
      settings     jsonb not null,
      occurred_at  timestamptz not null
    );

    create table egret_read.refused_commands (
      command_id   text not null,
      workspace_id bigint not null,
      subject      text not null,
      code         text not null,
      message      text not null,
      run_id       bigint,
      occurred_at  timestamptz not null,
      primary key (workspace_id, command_id)
    );
  `.execute(db);
}
