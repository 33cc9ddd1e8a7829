/** Makes valid histories of dry and test runs for tests. */
import { TRIAL_RUN_MACHINE } from "../../machines/trialRun.ts";
import type { AnyEvent, EventType } from "../../src/domain/event.ts";
import { EPOCH_MS, type EventParts, makeEvent } from "./events.ts";

export interface TrialShape {
  runId: number;
  syncId?: number;
  workspaceId?: number;
  kind: "dry" | "test";
  end: "open" | "completed" | "failed" | "canceled";
  startMs?: number;
}

/** The history of a trial, as far as `end` says. */
export function trialHistory(shape: TrialShape): AnyEvent[] {
  const { runId, syncId = 88, workspaceId = 12, kind, end, startMs = EPOCH_MS } = shape;
  const ids = { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId };
  const steps: Pick<EventParts<EventType>, "type" | "state" | "data">[] = [
    {
      type: "trial.requested",
      state: "requested",
      data: {
        ...ids,
        run_kind: kind,
        command_id: `command-${runId}`,
        sync_name: `sync ${syncId}`,
        force_full_sync: false,
        sync_trigger_reason: { ui_tag: kind === "dry" ? "Dry Run" : "Test", ui_detail: "by hand" },
      },
    },
    { type: "trial.started", state: "working", data: { ...ids, worker: "w1" } },
  ];
  const counters = {
    source_record_count: kind === "dry" ? 15 : null,
    source_record_updates: kind === "dry" ? 14 : null,
    source_record_deletes: kind === "dry" ? 0 : null,
    source_record_invalids: kind === "dry" ? 1 : null,
    records_processed: kind === "dry" ? null : 1,
    records_updated: kind === "dry" ? null : 1,
    records_failed: kind === "dry" ? null : 0,
  };
  const dry = {
    expected_creates: 4,
    expected_updates: 10,
    expected_deletes: 0,
    batches: 2,
    resends: null,
    remembered: 10,
    stopped_by: null,
  };
  const test = { outcome: "accepted" as const, http_status: 200, error: null };
  const found = { full_sync: false, full_sync_reasons: [], destination_id: 3, duration_ms: 9 };
  if (end === "completed") {
    const report = kind === "dry" ? { dry, test: null } : { dry: null, test };
    const data = { ...ids, ...counters, ...found, ...report };
    steps.push({ type: "trial.completed", state: "completed", data });
  }
  if (end === "failed" || end === "canceled") {
    const isCanceled = end === "canceled";
    const data = {
      ...ids,
      canceled: isCanceled,
      command_id: isCanceled ? "c9" : null,
      error_code: isCanceled ? "SYNC_CANCELED" : "SOURCE_TIMEOUT",
      error_message: "it took too long",
      error_detail: null,
    };
    steps.push({ type: "trial.failed", state: "failed", data });
  }
  return steps.map((step, index) =>
    makeEvent({
      ...step,
      subject: `trial/${runId}`,
      machine: TRIAL_RUN_MACHINE,
      version: index + 1,
      atMs: startMs + index * 1000,
    }),
  );
}
