/** The sync engine: which run has a sync, what was accepted before, and the batches of each run's plan. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create sequence egret.run_ids as bigint;

    -- A command that arrives twice, even after the log's dedupe window, finds the run it caused the first time.
    create table egret.accepted_commands (
      workspace_id bigint not null,
      command_id   text not null,
      run_id       bigint not null,
      accepted_at  timestamptz not null default now(),
      primary key (workspace_id, command_id)
    );

    -- One row per sync: the run that has it, and the mapping under which its state was accepted.
    create table egret.sync_states (
      sync_id       bigint primary key,
      active_run_id bigint,
      fingerprint   text
    );

    -- The plan of a run: batches with the exact bytes to send, and the keys and hashes that acceptance will make true.
    create table egret.batches (
      run_id         bigint not null,
      batch_no       integer not null,
      sync_id        bigint not null,
      destination_id bigint not null,
      records        integer not null,
      body           bytea,
      body_sha256    text not null,
      keys           text[],
      hashes         bigint[],
      outcome        text check (outcome in ('accepted', 'rejected', 'unavailable', 'dropped')),
      status_message text,
      settled_at     timestamptz,
      primary key (run_id, batch_no)
    );
    -- Bodies are sent once and deleted: compressing them costs more than it saves.
    alter table egret.batches alter column body set storage external;
    create index batches_open on egret.batches (run_id) where outcome is null;

    -- One row per finished plan, written in the transaction that wrote its batches: a plan is there whole or not at all.
    create table egret.plans (
      run_id              bigint primary key,
      source_record_count bigint not null,
      updates             bigint not null,
      invalids            bigint not null,
      batches             integer not null
    );

    -- Rows set aside before sending: a NULL key, a key that more than one row has, or INVALID: a key or record too long.
    create table egret.invalid_rows (
      run_id     bigint not null,
      identifier text,
      status     text not null check (status in ('NULL', 'DUPLICATE', 'INVALID')),
      rows       bigint not null
    );
    create index invalid_rows_run on egret.invalid_rows (run_id);

    -- Holds one table per sync (key -> hash of the last accepted values) and one scratch table per working run.
    create schema egret_state;
  `.execute(db);
}
