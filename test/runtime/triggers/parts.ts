/** What the tests of triggers share: syncs in our Postgres without a source behind them, and the commands in the queue. */
import { sql } from "kysely";
import type { TriggerCommand } from "../../../src/domain/command.ts";
import type { SyncOptions } from "../../../src/domain/syncOptions.ts";
import type { LogConnection } from "../../../src/log/connection.ts";
import type { OpenDatabase } from "../../../src/projections/database.ts";

/** One workspace with a source and a destination that nothing connects to. */
export async function makeWorkspace({ db }: OpenDatabase): Promise<void> {
  await sql`
    with ws as (insert into egret.workspaces (name) values ('demo') returning id),
    src as (insert into egret.sources (workspace_id, name, type, settings, secret)
            select id, 'db', 'postgres', '{}', '' from ws)
    insert into egret.destinations (workspace_id, name, type, settings, secret)
    select id, 'ops', 'webhook', '{}', '' from ws`.execute(db);
}

/** A sync with these options; its schedule counts from `since`. */
export async function makeSync(
  { db }: OpenDatabase,
  name: string,
  options: Partial<SyncOptions> = {},
  since?: Date,
): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    insert into egret.syncs (workspace_id, name, source_id, table_schema, table_name, destination_id, operation, mappings, options)
    select 1, ${name}, (select min(id) from egret.sources), 'public', 't', (select min(id) from egret.destinations),
           'upsert', '[]', ${JSON.stringify(options)}::jsonb returning id`.execute(db);
  const id = rows[0]?.id ?? 0;
  if (since !== undefined) await countFrom({ db }, id, since);
  return id;
}

/** Changes options as `egret apply` does, at an instant of the test's own. */
export async function editSync(
  { db }: Pick<OpenDatabase, "db">,
  id: number,
  options: Partial<SyncOptions>,
  at: Date,
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`update egret.syncs set options = ${JSON.stringify(options)}::jsonb where id = ${id}`.execute(
      trx,
    );
    await countFrom({ db: trx }, id, at);
  });
}

/** The database notes its own time at an edit; the test's clock has another. Nothing is noted where nothing changed. */
async function countFrom({ db }: Pick<OpenDatabase, "db">, id: number, since: Date): Promise<void> {
  await sql`update egret.schedule_ticks set counts_from = ${since}
    where sync_id = ${id} and not is_planned`.execute(db);
}

/** A command as it stands in the queue. */
export interface QueuedCommand {
  id: string;
  payload: TriggerCommand;
}

/** All commands in the queue, oldest first. */
export async function queuedCommands({ jsm, topology }: LogConnection): Promise<QueuedCommand[]> {
  const { state } = await jsm.streams.info(topology.commandStream);
  const commands: QueuedCommand[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.direct.getMessage(topology.commandStream, { seq });
    if (message === null) continue;
    const payload = JSON.parse(new TextDecoder().decode(message.data)) as TriggerCommand;
    commands.push({ id: message.header.get("Nats-Msg-Id"), payload });
  }
  return commands;
}
