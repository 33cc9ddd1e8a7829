/** Configuration: what operators declare, and the outbox by which each change becomes an event. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create schema egret;

    create table egret.workspaces (
      id         bigint generated always as identity primary key,
      name       text not null unique,
      version    integer not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );

    create table egret.sources (
      id           bigint generated always as identity primary key,
      workspace_id bigint not null references egret.workspaces,
      name         text not null,
      type         text not null,
      settings     jsonb not null,
      secret       text not null,
      version      integer not null default 1,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      unique (workspace_id, name)
    );

    create table egret.models (
      id           bigint generated always as identity primary key,
      workspace_id bigint not null references egret.workspaces,
      source_id    bigint not null references egret.sources,
      name         text not null,
      query        text not null,
      version      integer not null default 1,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      unique (workspace_id, name)
    );

    create table egret.destinations (
      id                  bigint generated always as identity primary key,
      workspace_id        bigint not null references egret.workspaces,
      name                text not null,
      type                text not null,
      settings            jsonb not null,
      secret              text not null,
      last_test_succeeded boolean,
      last_tested_at      timestamptz,
      version             integer not null default 1,
      created_at          timestamptz not null default now(),
      updated_at          timestamptz not null default now(),
      unique (workspace_id, name)
    );

    create table egret.syncs (
      id             bigint generated always as identity primary key,
      workspace_id   bigint not null references egret.workspaces,
      name           text not null,
      label          text,
      source_id      bigint not null references egret.sources,
      model_id       bigint references egret.models,
      table_schema   text,
      table_name     text,
      destination_id bigint not null references egret.destinations,
      operation      text not null,
      mappings       jsonb not null,
      version        integer not null default 1,
      created_at     timestamptz not null default now(),
      updated_at     timestamptz not null default now(),
      unique (workspace_id, name),
      check ((model_id is null) = (table_name is not null))
    );

    create table egret.webhooks (
      id           bigint generated always as identity primary key,
      workspace_id bigint not null references egret.workspaces,
      name         text not null,
      description  text,
      endpoint     text not null,
      events       text[] not null,
      enabled      boolean not null default true,
      secret       text not null,
      version      integer not null default 1,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      unique (workspace_id, name)
    );

    -- Written in the transaction of the change itself, relayed to the log afterwards, then deleted.
    create table egret.outbox (
      id           bigint generated always as identity primary key,
      event_id     uuid not null,
      workspace_id bigint not null,
      kind         text not null,
      object_id    bigint not null,
      change       text not null check (change in ('created', 'updated', 'deleted')),
      version      integer not null,
      data         jsonb not null,
      occurred_at  timestamptz not null default now()
    );
  `.execute(db);
}
