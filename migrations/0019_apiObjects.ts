/** Objects that the API makes: their free names, who manages them, and what is kept of a source's tables and columns. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- label: the name as people wrote it, null where a file gave only the short one. Syncs have one already.
    alter table egret.sources
      add column label text,
      add column managed_by text not null default 'file' check (managed_by in ('file', 'api')),
      add column last_test_succeeded boolean,
      add column last_tested_at timestamptz;
    alter table egret.models
      add column label text,
      add column managed_by text not null default 'file' check (managed_by in ('file', 'api')),
      -- What clients send and read back, and nothing here uses.
      add column attributes jsonb not null default '{}',
      -- As the source last described them; null until it did.
      add column columns jsonb;
    alter table egret.destinations
      add column label text,
      add column managed_by text not null default 'file' check (managed_by in ('file', 'api'));
    alter table egret.syncs
      add column managed_by text not null default 'file' check (managed_by in ('file', 'api')),
      add column attributes jsonb not null default '{}';
    alter table egret.webhooks
      add column label text,
      add column managed_by text not null default 'file' check (managed_by in ('file', 'api'));

    -- Tables and views of a source get an id when they are first seen, and keep it: also when they go and come back.
    create table egret.source_tables (
      id           bigint generated always as identity primary key,
      source_id    bigint not null references egret.sources on delete cascade,
      table_schema text not null,
      table_name   text not null,
      -- As the source last described them; null until it did.
      columns      jsonb,
      -- Not there at the last refresh.
      is_gone      boolean not null default false,
      created_at   timestamptz not null default now(),
      unique (source_id, table_schema, table_name)
    );
    insert into egret.source_tables (source_id, table_schema, table_name)
      select distinct source_id, table_schema, table_name from egret.syncs where table_name is not null;

    -- A refresh_key of the API is the id of a row.
    create table egret.source_refreshes (
      id         bigint generated always as identity primary key,
      source_id  bigint not null references egret.sources on delete cascade,
      -- Of one model or one table; both null: of the list of tables.
      model_id   bigint references egret.models on delete cascade,
      table_id   bigint references egret.source_tables on delete cascade,
      ended_at   timestamptz not null default now(),
      -- Why nothing was refreshed; null when it was.
      error      text
    );
    create index on egret.source_refreshes (source_id, id);
    create index on egret.source_refreshes (model_id);
    create index on egret.source_refreshes (table_id);
  `.execute(db);
}
