/** How a run's events and its machine's facts correspond, and what a run's history tells. */
import { SYNC_RUN_MACHINE, type SyncRunFact, syncRunMachine } from "../../../machines/syncRun.ts";
import type { RunAggregate } from "../../domain/aggregate.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, EventData, EventType, RunCounters, StoredEvent } from "../../domain/event.ts";
import type { Behaviour } from "../actor.ts";

export const runBehaviour: Behaviour<SyncRunFact> = {
  name: SYNC_RUN_MACHINE,
  machine: syncRunMachine,
  input: (first) => (first.type === "sync.skipped" ? { isSkipped: true } : undefined),
  fact: runFact,
};

/** The fact in a run's event: the event itself, with what the machine remembers of it. */
export function runFact(event: Pick<AnyEvent, "type" | "data">): SyncRunFact {
  switch (event.type) {
    case "sync.planned":
      return { type: event.type, batches: (event.data as EventData<"sync.planned">).batches };
    case "sync.completed":
      return { type: event.type, status: (event.data as EventData<"sync.completed">).status };
    case "sync.started":
    case "sync.checked":
    case "sync.snapshotted":
    case "sync.loaded":
    case "sync.cancel_requested":
    case "sync.success":
    case "sync.failed":
      return { type: event.type };
    default:
      throw new LogCorrupt(`${event.type} is no event of a run`);
  }
}

/** A run as its events so far tell it. Each type occurs at most once in a run. */
export class RunHistory {
  readonly aggregate: RunAggregate;
  readonly #events = new Map<EventType, AnyEvent>();

  constructor(history: readonly StoredEvent[]) {
    for (const { event } of history) this.#events.set(event.type, event);
    const { workspace_id, sync_id, sync_run_id } = this.data("sync.skipped") ?? this.triggered;
    this.aggregate = { kind: "run", workspaceId: workspace_id, syncId: sync_id, runId: sync_run_id };
  }

  add(event: AnyEvent): void {
    this.#events.set(event.type, event);
  }

  get triggered(): EventData<"sync.triggered"> {
    const data = this.data("sync.triggered");
    if (data === null) throw new LogCorrupt("a run does not begin with sync.triggered");
    return data;
  }

  /** Data of the event of that type, or null when it has not happened. */
  data<T extends EventType>(type: T): EventData<T> | null {
    return (this.#events.get(type)?.data as EventData<T> | undefined) ?? null;
  }

  /** When the event of that type happened, or null. */
  at(type: EventType): Date | null {
    const event = this.#events.get(type);
    return event === undefined ? null : new Date(event.time);
  }

  get ids(): { workspace_id: number; sync_id: number; sync_run_id: number } {
    const { workspaceId, syncId, runId } = this.aggregate;
    return { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId };
  }

  /** Counters as far as they are known (behaviour.md 4.2). */
  get counters(): RunCounters {
    const planned = this.data("sync.planned");
    const loaded = this.data("sync.loaded");
    return {
      source_record_count:
        planned?.source_record_count ?? this.data("sync.snapshotted")?.source_record_count ?? null,
      source_record_updates: planned?.source_record_updates ?? null,
      source_record_deletes: planned?.source_record_deletes ?? null,
      source_record_invalids: planned?.source_record_invalids ?? null,
      records_processed: loaded?.records_processed ?? null,
      records_updated: loaded?.records_updated ?? null,
      records_failed: loaded?.records_failed ?? null,
    };
  }
}
