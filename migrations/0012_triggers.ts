/** Triggers: ticks of schedules, waiting and skipped runs, places of working runs, inbound hooks, syncs paused by hand. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table egret_read.runs add column scheduled_execution_time timestamptz;

    -- The run that was under way when a command was answered by a skipped run; null for one that began or waits.
    alter table egret.accepted_commands add column skipped_for bigint;

    -- With overlap_policy queue_one: the run that begins when the active one ends. The times serve continuous schedules.
    alter table egret.sync_states
      add column waiting_run_id bigint,
      add column last_began_at  timestamptz,
      add column last_ended_at  timestamptz;

    -- Paused by an operator, beside the option of the same name in egret.yaml.
    alter table egret.syncs add column paused boolean not null default false;

    -- The next tick of each sync. Not planned: it has to be worked out, counting from the moment of the edit.
    create table egret.schedule_ticks (
      sync_id      bigint primary key references egret.syncs (id) on delete cascade,
      counts_from  timestamptz not null default now(),
      is_planned   boolean not null default false,
      next_tick_at timestamptz,
      last_tick_at timestamptz
    );
    create index schedule_ticks_next on egret.schedule_ticks (next_tick_at) where next_tick_at is not null;
    create index schedule_ticks_unplanned on egret.schedule_ticks (sync_id) where not is_planned;
    insert into egret.schedule_ticks (sync_id) select id from egret.syncs;

    -- Whoever writes a sync, a new schedule counts from that moment, and a sync that was paused catches nothing up.
    create function egret.replan_sync() returns trigger language plpgsql as $$
    begin
      insert into egret.schedule_ticks (sync_id) values (new.id)
      on conflict (sync_id) do update set counts_from = now(), is_planned = false, next_tick_at = null;
      return null;
    end $$;
    create trigger plan_schedule after insert on egret.syncs for each row execute function egret.replan_sync();
    create trigger replan_schedule after update on egret.syncs for each row
      when (old.options->'schedule' is distinct from new.options->'schedule'
        or old.options->'paused' is distinct from new.options->'paused' or old.paused <> new.paused)
      execute function egret.replan_sync();

    -- Runs in the hands of a worker, and those that it may not begin yet. One not seen for a while has no worker any
    -- more and keeps no place. parked: how often its message was sent back, which is no failed try.
    create table egret.run_slots (
      run_id       bigint primary key,
      workspace_id bigint not null,
      state        text not null check (state in ('blocked', 'waiting', 'working')),
      parked       integer not null default 0,
      seen_at      timestamptz not null default now()
    );
    create index run_slots_workspace on egret.run_slots (workspace_id, run_id);

    -- Addresses under /hooks that start a sync: of each token only its hash.
    create table egret.hooks (
      id           bigint generated always as identity primary key,
      workspace_id bigint not null references egret.workspaces (id) on delete cascade,
      sync_id      bigint not null references egret.syncs (id) on delete cascade,
      kind         text not null check (kind in ('generic', 'dbt_cloud')),
      token_sha256 bytea not null unique,
      created_by   text not null,
      created_at   timestamptz not null default now(),
      last_used_at timestamptz,
      revoked_at   timestamptz
    );
    create index hooks_sync on egret.hooks (sync_id);
  `.execute(db);
}
