/** Links to pages on which a person enters credentials or edits a sync. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table egret.links (
      id             bigint generated always as identity primary key,
      workspace_id   bigint not null references egret.workspaces on delete cascade,
      purpose        text not null check (purpose in ('source_connect', 'source_credentials', 'destination_connect',
                       'destination_credentials', 'sync_management', 'sync_edit', 'segment_management')),
      -- Of the source or destination.
      type           text,
      -- What it is for, or what was made with it. When that goes the link goes, and never turns into one for another.
      source_id      bigint references egret.sources on delete cascade,
      destination_id bigint references egret.destinations on delete cascade,
      sync_id        bigint references egret.syncs on delete cascade,
      redirect_uri   text,
      token_sha256   bytea not null unique,
      -- The token, encrypted, for lists that show the address; null once it is of no use.
      sealed         text,
      created_by     text not null,
      created_at     timestamptz not null default now(),
      expires_at     timestamptz not null,
      used_at        timestamptz,
      revoked_at     timestamptz
    );
    create index links_workspace on egret.links (workspace_id, id);
    create index links_source on egret.links (source_id) where source_id is not null;
    create index links_destination on egret.links (destination_id) where destination_id is not null;
    create index links_sync on egret.links (sync_id) where sync_id is not null;
  `.execute(db);
}
