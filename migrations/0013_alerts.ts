/** Alerts: what each sync is watched for, under ids of its own; the runs that were looked at; the read model of episodes. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- A configuration is its sync, type and options: one that changes these is another one, and the old one is deleted.
    create table egret.alert_configurations (
      id                   bigint generated always as identity primary key,
      workspace_id         bigint not null,
      sync_id              bigint not null,
      type                 text not null,
      send_for             text not null,
      should_send_recovery boolean not null,
      options              jsonb,
      -- What happened before is none of its business.
      created_at           timestamptz not null default now(),
      deleted_at           timestamptz,
      -- When a deleted one's open alert was closed in the log, if it had one.
      closed_at            timestamptz,
      check (closed_at is null or deleted_at is not null)
    );
    create index alert_configurations_sync on egret.alert_configurations (sync_id) where deleted_at is null;
    create index alert_configurations_open on egret.alert_configurations (sync_id)
      where deleted_at is not null and closed_at is null;

    create sequence egret.alert_instance_ids as bigint;

    -- The latest runs of each sync whose end was looked at. Counters are those of a completed run.
    create table egret.alert_runs (
      sync_id  bigint not null,
      run_id   bigint not null,
      counters jsonb,
      primary key (sync_id, run_id)
    );

    -- Every run of the sync that was triggered up to there in the log was looked at.
    create table egret.alert_floors (
      sync_id  bigint primary key,
      sequence bigint not null
    );

    insert into egret.alert_configurations (workspace_id, sync_id, type, send_for, should_send_recovery, options)
    select sync.workspace_id, sync.id, alert->>'type', coalesce(alert->>'send_for', 'first_time'),
           coalesce((alert->>'should_send_recovery')::boolean, true), nullif(alert->'options', 'null')
    from egret.syncs sync, jsonb_array_elements(coalesce(nullif(sync.options->'alerts', 'null'), '[
      {"type": "FailureAlertConfiguration"},
      {"type": "InvalidRecordPercentAlertConfiguration", "options": {"threshold": 75}}]')) with ordinality as given (alert, place)
    order by sync.id, place;

    create table egret_read.alerts (
      id                bigint primary key,
      configuration_id  bigint not null,
      workspace_id      bigint not null,
      sync_id           bigint not null,
      type              text not null,
      state             text not null,
      raised_run_id     bigint not null,
      last_raised_run_id bigint not null,
      resolved_run_id   bigint,
      times_raised      integer not null,
      message           text not null,
      details           text not null,
      followup_url      text not null,
      resolution        text,
      resolved_message  text,
      resolved_details  text,
      raised_at         timestamptz not null,
      last_raised_at    timestamptz not null,
      resolved_at       timestamptz,
      updated_at        timestamptz not null
    );
    create index alerts_sync on egret_read.alerts (sync_id, id desc);
    create index alerts_open on egret_read.alerts (id) where state = 'open';
  `.execute(db);
}
