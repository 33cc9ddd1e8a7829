/** What the end of a run tells, in the names of its event. */
import type { Schemas } from "../../client/client.ts";

/** Ids and figures that the ends of all runs have. */
export function runFigures(run: Schemas["SyncRun"], workspaceId: number) {
  return {
    workspace_id: workspaceId,
    sync_id: run.sync_id,
    sync_run_id: run.id,
    source_record_count: run.source_record_count,
    source_record_updates: run.source_record_updates,
    source_record_deletes: run.source_record_deletes,
    source_record_invalids: run.source_record_invalids,
    records_processed: run.records_processed,
    records_updated: run.records_updated,
    records_failed: run.records_failed,
  };
}

/** The same with how it ended. */
export function runEnd(run: Schemas["SyncRun"], workspaceId: number) {
  const { canceled, full_sync, error_code, error_message, error_detail } = run;
  return { ...runFigures(run, workspaceId), canceled, full_sync, error_code, error_message, error_detail };
}

/** From its start to its end, ms. */
export function durationOf(run: Schemas["SyncRun"] & { completed_at: string }): number {
  return Date.parse(run.completed_at) - Date.parse(run.started_at ?? run.created_at);
}
