/** Starts the syncs that run after another one, whenever that one has ended well. */
import type { JsMsg } from "@nats-io/jetstream";
import { type Kysely, sql } from "kysely";
import type { Logger } from "pino";
import type { TriggerCommand } from "../../domain/command.ts";
import { decodeEvent } from "../../log/codec.ts";
import { publishCommand } from "../../log/commands.ts";
import type { LogConnection } from "../../log/connection.ts";
import { CONSUMERS } from "../../log/topology.ts";
import type { Database } from "../../projections/database.ts";
import { startWorkQueue, type WorkQueue } from "../workQueue.ts";

export interface SequenceOptions {
  db: Kysely<Database>;
  connection: LogConnection;
  logger: Logger;
}

/** Ends of runs that one process looks at at once. */
const AT_ONCE = 4;
/** Children start in the order of their ids: each waits this long for the one before to be taken up, ms. */
const ORDER_PATIENCE_MS = 2_000;
const ORDER_LOOK_MS = 20;

/**
 * Starts it; several may share the work. A success stays unacknowledged until its children have their commands, and a
 * command that is published twice starts one run: so a crash neither loses nor doubles one.
 */
export function startSequences(options: SequenceOptions): WorkQueue {
  const { connection, logger } = options;
  return startWorkQueue({
    connection,
    stream: connection.topology.eventStreams.runs,
    consumer: CONSUMERS.sequences,
    concurrency: () => AT_ONCE,
    logger,
    handle: async (message: JsMsg) => {
      await triggerChildren(options, message);
      return { kind: "done" };
    },
  });
}

/** Only runs that were to send something end in `sync.success`: trials and skipped runs have no such event. */
async function triggerChildren(options: SequenceOptions, message: JsMsg): Promise<void> {
  const event = decodeEvent(message.data, message.subject);
  if (event.type !== "sync.success") return;
  const { workspace_id: workspaceId, sync_id: parentId, sync_run_id: runId } = event.data;
  const { parent, children } = await readChildren(options.db, parentId);
  for (const syncId of children) {
    const id = `sequence-${syncId}-${runId}`;
    const payload: Partial<TriggerCommand> = {
      sync: syncId,
      requested_via: "Sequence",
      reason: `After run ${runId} of ${parent}`,
    };
    const { traceparent } = event;
    await publishCommand(options.connection, { workspaceId, verb: "trigger", payload, id, traceparent });
    if (syncId !== children.at(-1)) await untilAccepted(options.db, workspaceId, id);
  }
}

/** Syncs that run after the given one and are not paused, by id; none when it was deleted. */
async function readChildren(
  db: Kysely<Database>,
  parentId: number,
): Promise<{ parent: string; children: number[] }> {
  const { rows } = await sql<{ parent: string; id: number }>`
    select parent.name as parent, child.id
    from egret.syncs parent
    join egret.syncs child on child.workspace_id = parent.workspace_id
      and child.options->>'sync_sequence' = parent.name and child.id <> parent.id
    where parent.id = ${parentId} and not child.paused and child.options->'paused' is distinct from 'true'
    order by child.id`.execute(db);
  return { parent: rows[0]?.parent ?? "", children: rows.map(({ id }) => id) };
}

/** A command that is refused, or waits for a worker, holds the next one up for a moment only. */
async function untilAccepted(db: Kysely<Database>, workspaceId: number, commandId: string): Promise<void> {
  const deadline = performance.now() + ORDER_PATIENCE_MS;
  while (performance.now() < deadline) {
    const accepted = await db
      .selectFrom("egret.accepted_commands")
      .select("run_id")
      .where("workspace_id", "=", workspaceId)
      .where("command_id", "=", commandId)
      .executeTakeFirst();
    if (accepted !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, ORDER_LOOK_MS));
  }
}
