/** A run of a sync as the API shows it (behaviour.md 4.2; api-clients.md 2 and 3.2). */
import { z } from "@hono/zod-openapi";
import { dryReportSchema, testReportSchema } from "../../../domain/trial.ts";
import type { Run } from "../../../projections/runs.ts";
import type { RunProgress } from "../../../runtime/hints.ts";
import { instant, instantOrNull } from "../answers.ts";

const count = z.int().nullable();

const progressSchema = z
  .object({
    phase: z.enum(["snapshotting", "diffing", "loading", "committing"]),
    current_step: z.string(),
    rows_read: z.int(),
    records_planned: count,
    records_sent: count,
    records_failed: count,
    rate_per_second: z.number().nullable().openapi({ description: "rows of this phase" }),
    time_left_ms: z.number().nullable().openapi({ description: "until this phase ends" }),
  })
  .openapi("SyncRunProgress");

export const syncRunSchema = z
  .object({
    id: z.int(),
    sync_id: z.int(),
    sync_name: z.string().openapi({ description: "short name of the sync, as it was called then" }),
    status: z.enum(["working", "completed", "failed", "skipped"]).openapi({
      description:
        "`working` from the beginning, also while it waits for its turn; a canceled run has `failed`, with `canceled` true",
    }),
    source_record_count: count.openapi({ description: "rows in the source; null until they are counted" }),
    source_record_updates: count,
    source_record_deletes: count,
    source_record_invalids: count,
    records_invalid: count.openapi({ description: "the same as source_record_invalids" }),
    records_processed: count.openapi({ description: "sent: updated and failed together" }),
    records_updated: count.openapi({ description: "accepted by the destination" }),
    records_failed: count.openapi({ description: "refused by the destination" }),
    full_sync: z.boolean(),
    full_sync_reasons: z.array(z.string()),
    canceled: z.boolean(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    error_detail: z.string().nullable(),
    current_step: z
      .string()
      .optional()
      .openapi({ description: "what it is doing, or did when it failed; left out once it completed" }),
    sync_trigger_reason: z.object({ ui_tag: z.string(), ui_detail: z.string() }),
    scheduled_execution_time: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
    started_at: z.iso.datetime().nullable(),
    completed_at: z.iso.datetime().nullable().openapi({ description: "null until it has ended, however" }),
    run_kind: z.enum(["normal", "dry", "test"]),
    progress: progressSchema.nullable().openapi({ description: "as last heard from its worker" }),
    dry_run: dryReportSchema.optional().openapi({ description: "of a dry run that completed" }),
    test: testReportSchema.optional().openapi({ description: "of a test run that completed" }),
  })
  .openapi("SyncRun");
export type SyncRunObject = z.infer<typeof syncRunSchema>;

/** A run for its readers. `progress` is what its worker last said. */
export function presentRun(run: Run, progress: RunProgress | null): SyncRunObject {
  return {
    id: run.id,
    sync_id: run.sync_id,
    sync_name: run.sync_name,
    status: run.status === "queued" ? "working" : run.status,
    source_record_count: run.source_record_count,
    source_record_updates: run.source_record_updates,
    source_record_deletes: run.source_record_deletes,
    source_record_invalids: run.source_record_invalids,
    records_invalid: run.source_record_invalids,
    records_processed: run.records_processed,
    records_updated: run.records_updated,
    records_failed: run.records_failed,
    full_sync: run.full_sync,
    full_sync_reasons: run.full_sync_reasons,
    canceled: run.canceled,
    error_code: run.error_code,
    error_message: run.error_message,
    error_detail: run.error_detail,
    ...(run.current_step === null ? {} : { current_step: run.current_step }),
    sync_trigger_reason: { ui_tag: run.trigger_tag, ui_detail: run.trigger_detail },
    scheduled_execution_time: instantOrNull(run.scheduled_execution_time),
    created_at: instant(run.created_at),
    updated_at: instant(run.updated_at),
    started_at: instantOrNull(run.started_at),
    completed_at: instantOrNull(run.completed_at),
    run_kind: run.run_kind,
    progress: run.completed_at === null && progress !== null ? presentProgress(progress) : null,
    ...reportOf(run),
  };
}

function presentProgress(progress: RunProgress): z.infer<typeof progressSchema> {
  const { workspace_id: _w, sync_id: _s, sync_run_id: _r, ...shown } = progress;
  return shown;
}

function reportOf({ run_kind, report }: Run): Pick<SyncRunObject, "dry_run" | "test"> {
  if (report === null) return {};
  return run_kind === "dry"
    ? { dry_run: report as z.infer<typeof dryReportSchema> }
    : { test: report as z.infer<typeof testReportSchema> };
}
