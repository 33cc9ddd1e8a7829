/**
 * Begins the runs that a process of the API accepted and did not live to write into the log: their syncs would be busy
 * for ever. Those of commands need nobody, since a command comes back by itself.
 */
import { type Kysely, sql } from "kysely";
import type { Logger } from "pino";
import { toError } from "../../domain/errors.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database } from "../../projections/database.ts";
import { DOOR_PREFIX, wishesIn } from "./doorCommandId.ts";
import { beginInLog, type FirstEvent, triggeredEvent } from "./triggerCommand.ts";

export interface UnbegunRunsOptions {
  db: Kysely<Database>;
  log: EventLog;
  logger: Pick<Logger, "info" | "warn">;
  /** Pause between two looks, ms. */
  everyMs?: number;
  /** Somebody is still at work on a younger one, ms. */
  olderThanMs?: number;
}

const EVERY_MS = 30_000;
/** Above the time after which an append gives up. */
const OLDER_THAN_MS = 30_000;

/** Looks after them until stopped. */
export interface UnbegunRuns {
  /** Looks once; how many were begun. */
  look(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts looking; several may look. */
export function startUnbegunRuns(options: UnbegunRunsOptions): UnbegunRuns {
  const { logger, everyMs = EVERY_MS } = options;
  /** Claimed runs that the log has: once begun, always begun. */
  let begun = new Set<number>();
  const look = async (): Promise<number> => {
    const claimed = await claimedRuns(options);
    const open = claimed.filter(({ run_id }) => !begun.has(run_id));
    begun = new Set(claimed.map(({ run_id }) => run_id));
    let count = 0;
    for (const claim of open) count += (await beginIfUnbegun(options, claim)) ? 1 : 0;
    return count;
  };
  let looking: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    looking = look().catch((error: unknown) => {
      begun.clear();
      logger.warn({ err: toError(error) }, "trigger.unbegun_look_failed");
    });
  }, everyMs);
  timer.unref();
  return {
    look,
    stop: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}

interface ClaimedRun {
  run_id: number;
  sync_id: number;
  sync_name: string;
  workspace_id: number;
  command_id: string;
}

async function claimedRuns({ db, olderThanMs = OLDER_THAN_MS }: UnbegunRunsOptions): Promise<ClaimedRun[]> {
  const { rows } = await sql<ClaimedRun>`
    select claimed.run_id, state.sync_id, sync.name as sync_name, sync.workspace_id, command.command_id
    from egret.sync_states state
    cross join lateral unnest(array[state.active_run_id, state.waiting_run_id]) as claimed (run_id)
    join egret.syncs sync on sync.id = state.sync_id
    join egret.accepted_commands command on command.run_id = claimed.run_id and command.skipped_for is null
    where command.accepted_at < now() - ${olderThanMs} * interval '1 millisecond'
      and starts_with(command.command_id, ${DOOR_PREFIX})`.execute(db);
  return rows;
}

/**
 * How a run begins that the API accepted by an earlier trigger, as what that asked for; null for another's command, which
 * comes back by itself.
 */
export async function firstEventOf(
  db: Kysely<Database>,
  run: { workspaceId: number; runId: number; sync: { id: number; name: string } },
): Promise<FirstEvent | null> {
  const claim = await db
    .selectFrom("egret.accepted_commands")
    .select("command_id")
    .where("run_id", "=", run.runId)
    .where("workspace_id", "=", run.workspaceId)
    .where("skipped_for", "is", null)
    // Others may wait with it: the first made it what it is.
    .orderBy("accepted_at")
    .limit(1)
    .executeTakeFirst();
  const commandId = claim?.command_id ?? "";
  return commandId.startsWith(DOOR_PREFIX) ? lateBeginning({ ...run, commandId }) : null;
}

function lateBeginning({
  workspaceId,
  runId,
  sync,
  commandId,
}: {
  workspaceId: number;
  runId: number;
  sync: { id: number; name: string };
  commandId: string;
}): FirstEvent {
  const payload = {
    sync: sync.id,
    force_full_sync: false,
    ...Object.fromEntries(wishesIn(commandId).map((wish) => [wish, true])),
    reason: "API, whose process ended meanwhile",
    requested_via: "API",
  } as const;
  return triggeredEvent({ workspaceId, commandId, payload, traceparent: undefined }, { sync, runId });
}

async function beginIfUnbegun({ log, logger }: UnbegunRunsOptions, claim: ClaimedRun): Promise<boolean> {
  const { run_id: runId, sync_id: syncId, sync_name: name, workspace_id: workspaceId } = claim;
  if ((await log.last({ kind: "run", workspaceId, syncId, runId })) !== null) return false;
  const { command_id: commandId } = claim;
  await beginInLog(log, lateBeginning({ workspaceId, runId, sync: { id: syncId, name }, commandId }));
  logger.info({ run: runId, sync: syncId }, "trigger.begun_late");
  return true;
}
