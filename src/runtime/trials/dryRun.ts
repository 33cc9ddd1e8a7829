/** A dry run in the hands of a worker: what would a run of the sync do now? It sends nothing and changes nothing. */
import type { Sync } from "../../domain/configuration.ts";
import type { EventData } from "../../domain/event.ts";
import { findState } from "../../engine/advancedMove.ts";
import { compileSync } from "../../engine/compileSync.ts";
import { dryRun } from "../../engine/dryRun.ts";
import { takeSnapshot } from "../../engine/snapshot.ts";
import { resolveRun } from "../../engine/syncState.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { postgresSource } from "../../sources/postgres.ts";
import { orAborted } from "../runs/orAborted.ts";
import { type ProgressTeller, stepProgress } from "../runs/stepProgress.ts";

/** What is looked at. */
export interface DryRunWork {
  database: OpenDatabase;
  sync: Sync;
  runId: number;
  isFull: boolean;
  teller: ProgressTeller;
  signal: AbortSignal;
}

/** What was found, as `trial.completed` has it, but for ids and the time it took. */
export type TrialFound = Omit<
  EventData<"trial.completed">,
  "workspace_id" | "sync_id" | "sync_run_id" | "duration_ms"
>;

/** A key with its hash takes about this much in a binary COPY. */
const ABOUT_BYTES_PER_ROW = 30;

/** @throws RunFailure when the source fails or the sync does not fit it. */
export async function workOutDryRun(work: DryRunWork): Promise<TrialFound> {
  const { database, sync, runId, isFull, teller, signal } = work;
  const compiled = await orAborted(signal, compileSync(sync));
  const mode = await resolveRun(database.db, sync, compiled, isFull);
  const home = await orAborted(signal, findState({ database, sync, compiled, mode }));
  const opening = postgresSource.openSnapshot(sync.source);
  const snapshot = await orAborted(signal, opening, (late) => late.close());
  // A source that is slow to give its next row is not waited for.
  const stop = () => void snapshot.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const progress = stepProgress(teller, "snapshotting");
    const onProgress = (bytes: number) => progress({ rows_read: Math.round(bytes / ABOUT_BYTES_PER_ROW) });
    const taken = await takeSnapshot({
      database,
      snapshot,
      compiled,
      sync,
      mode,
      home,
      runId,
      onProgress,
      signal,
    });
    const telling = stepProgress(teller, "diffing");
    const { plan, report } = await dryRun({
      database,
      snapshot,
      taken,
      mode,
      compiled,
      sync,
      runId,
      runAt: new Date(teller.now()),
      fullSync: mode.fullSync,
      onProgress: (rows) => telling({ rows_read: taken.sourceRecordCount, records_planned: rows }),
      signal,
    });
    return {
      destination_id: sync.destination.id,
      full_sync: mode.fullSync,
      full_sync_reasons: mode.reasons,
      source_record_count: plan.sourceRecordCount,
      source_record_updates: plan.updates,
      source_record_deletes: plan.deletes,
      source_record_invalids: plan.invalids,
      records_processed: null,
      records_updated: null,
      records_failed: null,
      dry: report,
      test: null,
    };
  } finally {
    signal.removeEventListener("abort", stop);
    await snapshot.close();
  }
}
