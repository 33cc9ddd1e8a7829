/** What the command `trigger` asks of the configuration and of the engine. */
import type { Operation } from "../../domain/configuration.ts";
import type { SyncOptions } from "../../domain/syncOptions.ts";
import type { AskedOfRun, KeptClaim } from "../../engine/claims.ts";

/** A sync as far as a trigger asks. */
export interface TriggeredSync {
  id: number;
  name: string;
  operation?: Operation;
  options: Pick<SyncOptions, "paused" | "overlap_policy" | "schedule">;
}

/** What to do while a run is under way, as src/engine/claims.ts has it. */
export type OnBusy = "refuse" | "skip" | "wait" | "wait_alone" | "drop";

/** What a trigger asks of the configuration and of the engine. */
export interface TriggerDesk {
  findSync(workspaceId: number, nameOrId: string | number): Promise<TriggeredSync | null>;
  /** Names of the syncs of a workspace, for the message about an unknown one. */
  syncNames(workspaceId: number): Promise<string[]>;
  /** Claims the sync for a new run, or says which run has it; the same answer for the same command. */
  acceptTrigger(claim: {
    workspaceId: number;
    commandId: string;
    syncId: number;
    onBusy: OnBusy;
    isPaused: boolean;
    reason: string | undefined;
    asked: AskedOfRun;
  }): Promise<
    | { kind: "accepted"; runId: number; duplicate: boolean }
    | { kind: "skipped"; runId: number; runningRunId: number }
    | { kind: "busy"; runId: number }
    | { kind: "dropped"; runId: number }
    | { kind: "paused" }
  >;
  /** What the trigger asked for that caused a run; null where that was not kept. */
  claimOf(run: { workspaceId: number; runId: number }): Promise<KeptClaim | null>;
}
