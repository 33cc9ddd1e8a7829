/** Health of targets: webhooks that can be disabled by what their endpoint does, and the read model of endpoints. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table egret.webhooks
      add column auto_disable_after_exhausted integer,
      add column disable_on_gone boolean not null default false,
      add column honor_retry_after boolean not null default false,
      -- Set while it is disabled by anything but egret.yaml, which then goes on saying that it is enabled.
      add column disabled_at timestamptz,
      add column disabled_reason text,
      add check (disabled_reason in ('gone', 'exhausted', 'operator')),
      add check ((disabled_at is null) = (disabled_reason is null)),
      add check (disabled_reason is null or not enabled);

    create table egret_read.endpoints (
      target_kind          text not null,
      target_id            bigint not null,
      workspace_id         bigint not null,
      state                text not null,
      version              integer not null,
      since                timestamptz,
      consecutive_failures integer not null,
      last_error           text,
      last_http_status     integer,
      next_probe_at        timestamptz,
      reason               text,
      outages              integer not null,
      updated_at           timestamptz not null,
      primary key (target_kind, target_id)
    );
  `.execute(db);
}
