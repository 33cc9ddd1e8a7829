/** What a trigger by hand has to know, seen for many at once and without a lock: its sync, and what that is busy with. */
import type { Pool } from "pg";
import type { Operation } from "../../domain/configuration.ts";
import { type SyncOptions, syncOptionsShape } from "../../domain/syncOptions.ts";
import type { Glimpse } from "../../engine/claims.ts";
import type { TriggeredSync } from "./triggerDesk.ts";

/** A trigger, by what it is for and the id that it is remembered by. */
export interface GlanceAsk {
  workspaceId: number;
  syncId: number;
  /** Null for one that came just now and cannot be known. */
  commandId: string | null;
}

/** What was seen of one. */
export interface Glance {
  sync: TriggeredSync;
  seen: Glimpse;
}

interface GlanceRow {
  /** Of the trigger in the list, from 1. */
  place: number;
  name: string;
  operation: Operation;
  paused: boolean;
  overlap_policy: SyncOptions["overlap_policy"] | null;
  active: number | null;
  run_id: number | null;
  skipped_for: number | null;
}

// By a name, so that Postgres plans it once for each connection: planning takes longer than looking.
const GLANCE = {
  name: "trigger_glance",
  text: `
    select asked.place, sync.name, sync.operation, sync.paused, sync.options->>'overlap_policy' as overlap_policy,
           state.active_run_id as active, known.run_id, known.skipped_for
    from unnest($1::bigint[], $2::bigint[], $3::text[])
         with ordinality as asked (workspace_id, sync_id, command_id, place)
    join egret.syncs sync on sync.id = asked.sync_id and sync.workspace_id = asked.workspace_id
    left join egret.sync_states state on state.sync_id = sync.id
    left join egret.accepted_commands known
           on known.workspace_id = asked.workspace_id and known.command_id = asked.command_id
          and known.accepted_at > now() - $4::bigint * interval '1 millisecond'`,
};

/** Looks for all of them; null for a sync that the workspace has not. Commands older than `memoryMs` are forgotten. */
export async function glanceAt(
  pool: Pool,
  asks: readonly GlanceAsk[],
  { memoryMs }: { memoryMs: number },
): Promise<(Glance | null)[]> {
  const { rows } = await pool.query<GlanceRow>({
    ...GLANCE,
    values: [
      asks.map(({ workspaceId }) => workspaceId),
      asks.map(({ syncId }) => syncId),
      asks.map(({ commandId }) => commandId),
      memoryMs,
    ],
  });
  const glances: (Glance | null)[] = asks.map(() => null);
  for (const row of rows) glances[row.place - 1] = glanceOf(row, asks[row.place - 1] as GlanceAsk);
  return glances;
}

function glanceOf(row: GlanceRow, { syncId }: GlanceAsk): Glance {
  const overlap_policy = syncOptionsShape.overlap_policy.parse(row.overlap_policy ?? undefined);
  // By hand a paused sync starts all the same (behaviour.md 3.4), and the schedule is asked for ticks alone.
  const options = { paused: row.paused, overlap_policy, schedule: undefined };
  const { active, run_id: runId, skipped_for: skippedFor } = row;
  return {
    sync: { id: syncId, name: row.name, operation: row.operation, options },
    seen: { active, known: runId === null ? null : { runId, skippedFor } },
  };
}
