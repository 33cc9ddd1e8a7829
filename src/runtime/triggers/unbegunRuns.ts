/**
 * Begins the runs that a process of the API accepted and did not live to write into the log: their syncs would be busy
 * for ever. Those of commands need nobody, since a command comes back by itself.
 */
import { type Kysely, sql } from "kysely";
import type { Logger } from "pino";
import { toError } from "../../domain/errors.ts";
import type { AskedOfRun } from "../../engine/claims.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database } from "../../projections/database.ts";
import { DOOR_PREFIX } from "./doorCommandId.ts";
import { beginInLog, claimedEvent } from "./triggerCommand.ts";

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
  reason: string | null;
  asked: AskedOfRun | null;
}

async function claimedRuns({ db, olderThanMs = OLDER_THAN_MS }: UnbegunRunsOptions): Promise<ClaimedRun[]> {
  // Others may wait with a run: the first made it what it is, and what that asked is kept.
  const { rows } = await sql<ClaimedRun>`
    select claimed.run_id, state.sync_id, sync.name as sync_name, sync.workspace_id,
           command.command_id, command.reason, command.asked
    from egret.sync_states state
    cross join lateral unnest(array[state.active_run_id, state.waiting_run_id]) as claimed (run_id)
    join egret.syncs sync on sync.id = state.sync_id
    cross join lateral (
      select * from egret.accepted_commands known
      where known.run_id = claimed.run_id and known.skipped_for is null
      order by known.asked is null, known.accepted_at limit 1
    ) command
    where command.accepted_at < now() - ${olderThanMs} * interval '1 millisecond'
      and starts_with(command.command_id, ${DOOR_PREFIX})`.execute(db);
  return rows;
}

/** What a claim counts as that is older than the keeping of what was asked. */
const NOT_KEPT = {
  reason: "API, whose process ended meanwhile",
  asked: { force_full_sync: false, requested_via: "API" },
} as const;

async function beginIfUnbegun({ log, logger }: UnbegunRunsOptions, claim: ClaimedRun): Promise<boolean> {
  const { run_id: runId, sync_id: syncId, workspace_id: workspaceId, command_id: commandId } = claim;
  if ((await log.last({ kind: "run", workspaceId, syncId, runId })) !== null) return false;
  const { reason, asked } = claim.asked === null ? NOT_KEPT : { ...claim, asked: claim.asked };
  const sync = { id: syncId, name: claim.sync_name };
  await beginInLog(log, claimedEvent({ commandId, reason, asked }, { workspaceId, sync, runId }));
  logger.info({ run: runId, sync: syncId }, "trigger.begun_late");
  return true;
}
