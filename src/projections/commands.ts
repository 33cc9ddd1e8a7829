/** Read model of refused commands; accepted ones live on as the run they caused. */
import type { Kysely, Selectable } from "kysely";
import type { StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import type { RefusedCommandReadModel } from "./readModelTables.ts";
import { type ReadModelWriter, type Table, writeRows } from "./tableWriter.ts";

/** A refused command as the read model has it. */
export type RefusedCommand = Selectable<RefusedCommandReadModel>;

const REFUSED_COMMANDS: Table<RefusedCommand> = {
  name: "refused_commands",
  key: ["workspace_id", "command_id"],
  columns: {
    command_id: "text",
    workspace_id: "bigint",
    subject: "text",
    code: "text",
    message: "text",
    run_id: "bigint",
    occurred_at: "timestamptz",
  },
};

/** Projects refusals; a command that is refused again keeps the words of the first time. */
export async function projectRefusedCommands(
  writer: ReadModelWriter,
  events: readonly StoredEvent[],
): Promise<void> {
  const rows: RefusedCommand[] = [];
  for (const { event } of events) {
    if (event.type !== "command.refused") continue;
    const { sync_run_id: run_id, ...refusal } = event.data;
    rows.push({ ...refusal, run_id, occurred_at: new Date(event.time) });
  }
  await writeRows(writer, REFUSED_COMMANDS, rows, "leave");
}

/** Refusals, newest first. */
export async function listRefusedCommands(
  db: Kysely<Database>,
  wanted: { workspaceId?: number; limit: number },
): Promise<RefusedCommand[]> {
  let query = db.selectFrom("egret_read.refused_commands").selectAll();
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  return query.orderBy("occurred_at", "desc").orderBy("command_id").limit(wanted.limit).execute();
}
