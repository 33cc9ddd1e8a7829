/** The management API: tokens, what was written through it, and answers that are kept for repeated requests. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- The words that people gave a workspace through the API, where they are not its name in egret.yaml.
    alter table egret.workspaces add column label text;
    alter table egret.workspaces add column notification_emails text[] not null default '{}';

    create table egret.api_tokens (
      id           bigint generated always as identity primary key,
      kind         text not null check (kind in ('workspace', 'personal')),
      workspace_id bigint references egret.workspaces on delete cascade,
      name         text not null,
      scopes       text[] not null check (cardinality(scopes) > 0),
      token_sha256 bytea not null unique,
      -- Only of the one key of a workspace that personal tokens can read back: the token, encrypted.
      sealed       text,
      created_by   text not null,
      created_at   timestamptz not null default now(),
      last_used_at timestamptz,
      expires_at   timestamptz,
      revoked_at   timestamptz,
      check ((kind = 'workspace') = (workspace_id is not null))
    );
    create unique index api_tokens_readable on egret.api_tokens (workspace_id)
      where sealed is not null and revoked_at is null;
    create index api_tokens_workspace on egret.api_tokens (workspace_id, id);

    -- One row per writing request that got past its token. No references: it outlives what it tells of.
    create table egret.api_audit (
      id           bigint generated always as identity primary key,
      at           timestamptz not null,
      token_id     bigint not null,
      token_name   text not null,
      workspace_id bigint,
      method       text not null,
      route        text not null,
      object_id    text,
      status       integer not null,
      address      text not null,
      user_agent   text,
      request_id   text not null
    );
    create index api_audit_workspace on egret.api_audit (workspace_id, id);
    create index api_audit_at on egret.api_audit (at);

    -- Requests with an Idempotency-Key. Without an answer one is under way, or its process has died.
    create table egret.api_idempotency (
      token_id       bigint not null,
      key_sha256     bytea not null,
      request_sha256 bytea not null,
      begun_at       timestamptz not null default now(),
      -- Status, headers and body, encrypted: some answers hold a secret that is shown once.
      answer         text,
      primary key (token_id, key_sha256)
    );
    create index api_idempotency_begun on egret.api_idempotency (begun_at);
  `.execute(db);
}
