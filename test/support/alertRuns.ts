/** Runs for tests of alerts, appended to a real log event by event, with the counters and the times that a test asks for. */
import { SYNC_RUN_MACHINE } from "../../machines/syncRun.ts";
import type { RunAggregate } from "../../src/domain/aggregate.ts";
import type { AnyEvent, EventData, RunCounters } from "../../src/domain/event.ts";
import { type EventLog, NEW_AGGREGATE } from "../../src/log/eventLog.ts";

/** How a run goes; left out, it starts and completes well, with 10 rows and nothing wrong. */
export interface RunPlan {
  runId: number;
  syncId?: number;
  outcome?: "ok" | "failed" | "canceled";
  /** False: it fails before it starts. */
  starts?: boolean;
  fullSync?: readonly string[];
  counters?: Partial<RunCounters>;
  /** When it was scheduled for, ms; left out, it was not. */
  scheduledMs?: number;
}

const WORKSPACE = 12;
const NONE: RunCounters = {
  source_record_count: null,
  source_record_updates: null,
  source_record_deletes: null,
  source_record_invalids: null,
  records_processed: null,
  records_updated: null,
  records_failed: null,
};
const WELL: RunCounters = {
  source_record_count: 10,
  source_record_updates: 10,
  source_record_deletes: 0,
  source_record_invalids: 0,
  records_processed: 10,
  records_updated: 10,
  records_failed: 0,
};

const STATES = {
  "sync.triggered": "triggered",
  "sync.started": "started.checking",
  "sync.checked": "started.snapshotting",
  "sync.completed": "completed.concluding",
  "sync.success": "completed.success",
  "sync.failed": "completed.failed",
} as const;
type Type = keyof typeof STATES;

/** A run that a test moves on. */
export class RunInTest {
  readonly aggregate: RunAggregate;
  readonly #log: EventLog;
  readonly #plan: RunPlan;
  readonly #now: () => number;
  #head = NEW_AGGREGATE;

  constructor(log: EventLog, plan: RunPlan, now: () => number) {
    const { runId, syncId = 88 } = plan;
    this.aggregate = { kind: "run", workspaceId: WORKSPACE, syncId, runId };
    this.#log = log;
    this.#plan = plan;
    this.#now = now;
  }

  /** The events that the plan has, in their order. */
  get types(): Type[] {
    const { outcome = "ok", starts = true } = this.#plan;
    const beginning: Type[] = starts
      ? ["sync.triggered", "sync.started", "sync.checked"]
      : ["sync.triggered"];
    return [...beginning, "sync.completed", outcome === "ok" ? "sync.success" : "sync.failed"];
  }

  /** Appends the next event of that type, at the present time. */
  async append(type: Type): Promise<AnyEvent> {
    const time = new Date(this.#now());
    const draft = { type, machine: SYNC_RUN_MACHINE, state: STATES[type], data: this.#data(type), time };
    const stored = await this.#log.append(this.aggregate, draft, this.#head);
    this.#head = { version: stored.event.version, sequence: stored.sequence };
    return stored.event;
  }

  #data(type: Type): EventData<Type> {
    const { runId, syncId = 88, outcome = "ok", fullSync = [], counters = {}, scheduledMs } = this.#plan;
    const ids = { workspace_id: WORKSPACE, sync_id: syncId, sync_run_id: runId };
    const isOk = outcome === "ok";
    switch (type) {
      case "sync.triggered":
        return {
          ...ids,
          command_id: `command-${runId}`,
          sync_name: "people",
          force_full_sync: false,
          sync_trigger_reason: { ui_tag: "Manual", ui_detail: "by hand" },
          ...(scheduledMs === undefined
            ? {}
            : { scheduled_execution_time: new Date(scheduledMs).toISOString() }),
        };
      case "sync.started":
        return { ...ids, worker: "w1" };
      case "sync.checked":
        return {
          ...ids,
          destination_id: 3,
          full_sync: fullSync.length > 0,
          full_sync_reasons: [...fullSync],
        };
      case "sync.completed":
        return {
          ...ids,
          ...(isOk ? { ...WELL, ...counters } : NONE),
          status: isOk ? "ok" : "emergency",
          canceled: outcome === "canceled",
          full_sync: fullSync.length > 0,
          error_code: isOk ? null : "SOURCE_TIMEOUT",
          error_message: isOk ? null : "it took too long",
          error_detail: null,
        };
      case "sync.success":
        return { ...ids, duration_ms: 9 };
      case "sync.failed":
        return { ...ids, duration_ms: 9, error_code: "SOURCE_TIMEOUT", error_message: "it took too long" };
    }
  }
}
