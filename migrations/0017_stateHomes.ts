/** States that stand in the source: where they are, and what is still to be written there. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Who we are to a source that holds states of ours: another Egret's are left alone.
    create table egret.installation (
      id       uuid not null default gen_random_uuid(),
      the_only boolean primary key default true check (the_only)
    );
    insert into egret.installation default values;

    -- Of a sync whose state stands in its source; without a row it stands in egret_state.
    create table egret.state_homes (
      sync_id      bigint primary key,
      source_id    bigint not null,
      state_schema text not null,
      -- Made anew whenever a state begins there: a table with another one is not the one that we wrote.
      epoch        uuid not null,
      -- The newest entry ever made, and the newest that the source is known to have.
      last_seq     bigint not null default 0,
      relayed_seq  bigint not null default 0
    );

    -- What the source's table is still to be told, in this order; written in the transaction that settles a batch.
    create table egret.state_journal (
      sync_id bigint not null,
      seq     bigint not null,
      kind    text not null check (kind in ('remember', 'forget', 'doubt', 'doubt_same', 'clear')),
      keys    text[] not null,
      hashes  bigint[],
      records text[],
      primary key (sync_id, seq)
    );

    -- Why the state was taken for lost the last time.
    alter table egret.sync_states add column state_lost text;
  `.execute(db);
}
