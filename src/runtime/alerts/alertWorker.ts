/** Reads the events of runs and of configuration changes, and moves alerts by what they show; several may share the work. */
import type { Kysely } from "kysely";
import type { Logger } from "pino";
import {
  type AlertConfiguration,
  readAlertConfigurations,
  readUnclosedAlerts,
} from "../../configuration/alertConfigurations.ts";
import type { AlertSetting } from "../../domain/alert.ts";
import type { AnyEvent, EgretEvent } from "../../domain/event.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { CONSUMERS } from "../../log/topology.ts";
import type { Database } from "../../projections/database.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import { forgetRuns, markClosed, withAlertsOf } from "./alertStore.ts";
import { type AlertParts, evaluateEnded, evaluateGoing } from "./evaluateRun.ts";
import { closeAlert } from "./moveAlert.ts";

export interface AlertWorkerOptions {
  connection: LogConnection;
  db: Kysely<Database>;
  log: EventLog;
  logger: Logger;
  /** Where people look at runs, without a slash at the end. */
  publicUrl(): string;
  /** The clock, ms. */
  now?: () => number;
  /** A run that is not late yet is looked at again after this time at the latest, ms. */
  longestWaitMs?: number;
}

/** Events under way at once. */
const EVENTS_AT_ONCE = 16;
/** Short enough that what waits for a run that ended long before its limit does not pile up. */
const LONGEST_WAIT_MS = 600_000;

const DONE: WorkResult = { kind: "done" };

/** Starts the evaluator. */
export function startAlertWorker(options: AlertWorkerOptions): WorkQueue {
  const { connection, logger } = options;
  const inOrder = new OneAfterTheOther();
  return startWorkQueue({
    connection,
    stream: connection.topology.eventStreams.runs,
    consumer: CONSUMERS.alerts,
    concurrency: () => EVENTS_AT_ONCE,
    logger,
    handle: (message) => {
      const event = decodeEvent(message.data, message.subject);
      return inOrder.run(syncOf(event), () => handleAlertCause(options, event));
    },
  });
}

/** Does what an event gives cause to; doing it twice moves no alert twice. Other events are none of its business. */
export async function handleAlertCause(
  options: Omit<AlertWorkerOptions, "connection" | "logger"> & Pick<AlertParts, "connection">,
  event: AnyEvent,
): Promise<WorkResult> {
  const { connection, db, log, publicUrl, now = Date.now, longestWaitMs = LONGEST_WAIT_MS } = options;
  const parts: AlertParts = { connection, db, log, publicUrl, now, longestWaitMs };
  switch (event.type) {
    case "config.updated":
    case "config.deleted":
      if (event.data.kind === "sync") await closeDeleted(parts, event);
      return DONE;
    case "sync.triggered":
      return whereWatched(parts, event, isLateBy("scheduled"), "scheduled");
    case "sync.started":
      return whereWatched(parts, event, (each) => isStart(each) || isLateBy("actual")(each), "actual");
    case "sync.checked":
      return event.data.full_sync ? whereWatched(parts, event, isFullSync, null) : DONE;
    case "sync.success":
    case "sync.failed":
      return evaluateEnded(parts, atHand(event));
    default:
      return DONE;
  }
}

type GoingEvent = EgretEvent<"sync.triggered"> | EgretEvent<"sync.started"> | EgretEvent<"sync.checked">;

const isFullSync = ({ type }: AlertSetting) => type === "FullSyncTriggerAlertConfiguration";
const isStart = (setting: AlertSetting) =>
  setting.type === "StatusAlertConfiguration" && setting.options.status_name === "started";
const isLateBy = (start: "actual" | "scheduled") => (setting: AlertSetting) =>
  setting.type === "RuntimeAlertConfiguration" && setting.options.start_type === start;

/** Most syncs watch nothing but ends: the run is not even read then. */
async function whereWatched(
  parts: AlertParts,
  event: GoingEvent,
  concerns: (setting: AlertSetting) => boolean,
  lateBy: Parameters<typeof evaluateGoing>[2],
): Promise<WorkResult> {
  const configurations = await readAlertConfigurations(parts.db, event.data.sync_id);
  if (!configurations.some(({ setting }: AlertConfiguration) => concerns(setting))) return DONE;
  return evaluateGoing(parts, atHand(event), lateBy);
}

function atHand({ data, traceparent }: GoingEvent | EgretEvent<"sync.success"> | EgretEvent<"sync.failed">) {
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = data;
  return { run: { kind: "run", workspaceId, syncId, runId } as const, traceparent };
}

/** Alerts of configurations that were deleted close without a word (behaviour.md 7.4). */
async function closeDeleted(
  { db, log, now }: AlertParts,
  { type, data: { object_id: syncId } }: EgretEvent<"config.updated"> | EgretEvent<"config.deleted">,
): Promise<void> {
  const isGone = type === "config.deleted";
  const deleted = await readUnclosedAlerts(db, syncId);
  if (deleted.length === 0 && !isGone) return;
  // Under the lock: who looks at a run just now may still raise one of them.
  await withAlertsOf(db, syncId, async (trx) => {
    for (const configuration of deleted) {
      const reason = isGone ? "sync_deleted" : "configuration_deleted";
      await closeAlert({ log, nowMs: now() }, configuration, reason);
      await markClosed(trx, configuration.id);
    }
    if (isGone) await forgetRuns(trx, syncId);
  });
}

function syncOf(event: AnyEvent): number {
  if ("object_id" in event.data) return event.data.object_id;
  return "sync_id" in event.data ? event.data.sync_id : 0;
}

/** Does the work of each sync in the order in which it came; that of different syncs side by side. */
class OneAfterTheOther {
  readonly #last = new Map<number, Promise<unknown>>();

  run<T>(key: number, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(key) === settled) this.#last.delete(key);
      });
    this.#last.set(key, settled);
    return result;
  }
}
