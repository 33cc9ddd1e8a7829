/** Read model of runs: one row per execution of a sync. */
import { type Kysely, type Selectable, sql } from "kysely";
import { currentStep } from "../domain/currentStep.ts";
import type { AnyEvent, EgretEvent, StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import type { RunReadModel } from "./readModelTables.ts";
import { loadRows, type ReadModelWriter, type Table, writeRows } from "./tableWriter.ts";

/** A run as the read model has it. */
export type Run = Selectable<RunReadModel>;

/** Events of a run's own history, dry and test runs included. */
export type RunEvent = Extract<AnyEvent, { type: `sync.${string}` | `trial.${string}` }>;

const RUNS: Table<Run> = {
  name: "runs",
  key: ["id"],
  columns: {
    id: "bigint",
    workspace_id: "bigint",
    sync_id: "bigint",
    sync_name: "text",
    run_kind: "text",
    command_id: "text",
    status: "text",
    state: "text",
    version: "integer",
    trigger_tag: "text",
    trigger_detail: "text",
    scheduled_execution_time: "timestamptz",
    destination_id: "bigint",
    full_sync: "boolean",
    full_sync_reasons: "text[]",
    canceled: "boolean",
    source_record_count: "bigint",
    source_record_updates: "bigint",
    source_record_deletes: "bigint",
    source_record_invalids: "bigint",
    batches: "integer",
    records_processed: "bigint",
    records_updated: "bigint",
    records_failed: "bigint",
    error_code: "text",
    error_message: "text",
    error_detail: "text",
    current_step: "text",
    report: "jsonb",
    created_at: "timestamptz",
    started_at: "timestamptz",
    completed_at: "timestamptz",
    updated_at: "timestamptz",
  },
};

/** True for an event of a run. */
export function isRunEvent(event: AnyEvent): event is RunEvent {
  return event.type.startsWith("sync.") || event.type.startsWith("trial.");
}

/**
 * The row of a run after one more event. Undefined for an event of a run whose `sync.triggered` the log no longer
 * holds: half a history makes no row.
 */
export function foldRun(run: Run | undefined, event: RunEvent): Run | undefined {
  if (event.type === "sync.triggered" || event.type === "trial.requested") return newRun(event);
  if (event.type === "sync.skipped") return skippedRun(event);
  if (run === undefined) return undefined;
  const time = new Date(event.time);
  const { state, version } = event;
  const current_step = currentStep(state) ?? run.current_step;
  return { ...run, current_step, ...learned(event, time), state, version, updated_at: time };
}

/** A run that never began: its row is all there will be of it (behaviour.md 3.3). */
function skippedRun(event: EgretEvent<"sync.skipped">): Run {
  const time = new Date(event.time);
  return { ...newRun(event), status: "skipped", completed_at: time, current_step: null };
}

type FirstEvent = EgretEvent<"sync.triggered"> | EgretEvent<"sync.skipped"> | EgretEvent<"trial.requested">;

function newRun(event: FirstEvent): Run {
  const { data, state, version, time } = event;
  const scheduled = ("scheduled_execution_time" in data && data.scheduled_execution_time) || null;
  return {
    id: data.sync_run_id,
    workspace_id: data.workspace_id,
    sync_id: data.sync_id,
    sync_name: data.sync_name,
    run_kind: "run_kind" in data ? data.run_kind : "normal",
    command_id: data.command_id,
    status: "queued",
    state,
    version,
    trigger_tag: data.sync_trigger_reason.ui_tag,
    trigger_detail: data.sync_trigger_reason.ui_detail,
    scheduled_execution_time: scheduled === null ? null : new Date(scheduled),
    destination_id: null,
    full_sync: "force_full_sync" in data && data.force_full_sync,
    full_sync_reasons: [],
    canceled: false,
    source_record_count: null,
    source_record_updates: null,
    source_record_deletes: null,
    source_record_invalids: null,
    batches: null,
    records_processed: null,
    records_updated: null,
    records_failed: null,
    error_code: null,
    error_message: null,
    error_detail: null,
    current_step: currentStep(state) ?? null,
    report: null,
    created_at: new Date(time),
    started_at: null,
    completed_at: null,
    updated_at: new Date(time),
  };
}

/** What an event tells beyond state and version. */
function learned(event: RunEvent, time: Date): Partial<Run> {
  switch (event.type) {
    case "sync.started":
    case "trial.started":
      return { status: "working", started_at: time };
    case "sync.checked": {
      const { destination_id, full_sync, full_sync_reasons } = event.data;
      return { destination_id, full_sync, full_sync_reasons };
    }
    case "sync.snapshotted":
      return { source_record_count: event.data.source_record_count };
    case "sync.planned": {
      const { source_record_count, source_record_updates, source_record_deletes } = event.data;
      const { source_record_invalids, batches } = event.data;
      return {
        source_record_count,
        source_record_updates,
        source_record_deletes,
        source_record_invalids,
        batches,
      };
    }
    case "sync.loaded": {
      const { records_processed, records_updated, records_failed } = event.data;
      return { records_processed, records_updated, records_failed };
    }
    case "sync.completed": {
      const { workspace_id: _w, sync_id: _s, sync_run_id: _r, status, ...end } = event.data;
      if (status === "ok") return { ...end, status: "completed", completed_at: time, current_step: null };
      return { ...end, status: "failed", completed_at: time };
    }
    case "trial.completed": {
      const { workspace_id: _w, sync_id: _s, sync_run_id: _r, duration_ms: _d, ...found } = event.data;
      const { dry, test, ...counters } = found;
      return {
        ...counters,
        report: dry ?? test,
        status: "completed",
        completed_at: time,
        current_step: null,
      };
    }
    case "trial.failed": {
      const { canceled, error_code, error_message, error_detail } = event.data;
      return { canceled, error_code, error_message, error_detail, status: "failed", completed_at: time };
    }
    default:
      // sync.success and sync.failed repeat the outcome that sync.completed already told.
      return {};
  }
}

/** Projects the events of runs; returns how many were skipped because their run's beginning is gone from the log. */
export async function projectRuns(writer: ReadModelWriter, events: readonly StoredEvent[]): Promise<number> {
  const own = events.map(({ event }) => event).filter(isRunEvent);
  if (own.length === 0) return 0;
  const runs = await loadRows(writer, RUNS, new Set(own.map((event) => event.data.sync_run_id)));
  let skipped = 0;
  for (const event of own) {
    const run = foldRun(runs.get(event.data.sync_run_id), event);
    if (run === undefined) skipped += 1;
    else runs.set(run.id, run);
  }
  await writeRows(writer, RUNS, [...runs.values()]);
  return skipped;
}

/** Runs, newest first; `before` is the id of the last run of the page before. */
export async function listRuns(
  db: Kysely<Database>,
  wanted: { workspaceId?: number; syncId?: number; status?: Run["status"]; before?: number; limit: number },
): Promise<Run[]> {
  let query = db.selectFrom("egret_read.runs").selectAll();
  if (wanted.workspaceId !== undefined) query = query.where("workspace_id", "=", wanted.workspaceId);
  if (wanted.syncId !== undefined) query = query.where("sync_id", "=", wanted.syncId);
  if (wanted.status !== undefined) query = query.where("status", "=", wanted.status);
  if (wanted.before !== undefined) query = query.where("id", "<", wanted.before);
  return query.orderBy("id", "desc").limit(wanted.limit).execute();
}

/** Which runs of a workspace. */
export interface WantedRuns {
  workspaceId: number;
  syncId?: number | undefined;
  runKind: Run["run_kind"] | null;
  statuses?: readonly Run["status"][] | undefined;
  /** Created then or later. */
  since?: Date | undefined;
  /** Created before. */
  until?: Date | undefined;
}

/** A page of runs in the order of ids, and how many there are; `afterId` is the last id of the page before. */
export async function pageOfRuns(
  db: Kysely<Database>,
  wanted: WantedRuns,
  cut: { limit: number; offset: number; order: "asc" | "desc"; afterId: number | null },
): Promise<{ rows: Run[]; total: number }> {
  let query = db.selectFrom("egret_read.runs").where("workspace_id", "=", wanted.workspaceId);
  if (wanted.syncId !== undefined) query = query.where("sync_id", "=", wanted.syncId);
  if (wanted.statuses !== undefined) query = query.where("status", "in", [...wanted.statuses]);
  if (wanted.since !== undefined) query = query.where("created_at", ">=", wanted.since);
  if (wanted.until !== undefined) query = query.where("created_at", "<", wanted.until);
  if (wanted.runKind !== null) query = query.where("run_kind", "=", wanted.runKind);
  let page = query.selectAll().orderBy("id", cut.order).limit(cut.limit).offset(cut.offset);
  if (cut.afterId !== null) page = page.where("id", cut.order === "asc" ? ">" : "<", cut.afterId);
  const [rows, { total }] = await Promise.all([
    page.execute(),
    query.select(({ fn }) => fn.countAll<number>().as("total")).executeTakeFirstOrThrow(),
  ]);
  return { rows, total };
}

/** One run, or null when no such run is known (yet). */
export async function getRun(db: Kysely<Database>, id: number): Promise<Run | null> {
  const run = await db.selectFrom("egret_read.runs").selectAll().where("id", "=", id).executeTakeFirst();
  return run ?? null;
}

/** The runs of these ids, in the same order; null where no such run is known (yet). */
export async function getRuns(db: Kysely<Database>, ids: readonly number[]): Promise<(Run | null)[]> {
  const wanted = sql<number>`any(${[...new Set(ids)]}::bigint[])`;
  const rows = await db.selectFrom("egret_read.runs").selectAll().where("id", "=", wanted).execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id) ?? null);
}
