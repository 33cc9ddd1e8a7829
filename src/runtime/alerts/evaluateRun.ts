/** Looks at a run for every alert of its sync: as it starts, while it goes on, and once when it has ended. */
import type { Kysely, Transaction } from "kysely";
import { type AlertConfiguration, readAlertConfigurations } from "../../configuration/alertConfigurations.ts";
import type { RunAggregate } from "../../domain/aggregate.ts";
import {
  type EndedRun,
  judge,
  type Moment,
  overdueAtMs,
  type RunStarts,
  type RuntimeSetting,
} from "../../domain/alert.ts";
import { type EventData, runCountersSchema } from "../../domain/event.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { loadPage } from "../../log/load.ts";
import type { Database } from "../../projections/database.ts";
import { RunHistory } from "../runs/runActor.ts";
import type { WorkResult } from "../workQueue.ts";
import {
  isEvaluated,
  nextEpisode,
  noteEvaluated,
  readFloor,
  valuesBefore,
  withAlertsOf,
} from "./alertStore.ts";
import { type AlertScene, moveAlert } from "./moveAlert.ts";

/** What looking at runs needs. */
export interface AlertParts {
  connection: Pick<LogConnection, "jsm" | "topology">;
  db: Kysely<Database>;
  log: EventLog;
  /** Where people look at runs, without a slash at the end. */
  publicUrl(): string;
  /** The clock, ms. */
  now(): number;
  /** A run that is not late yet is looked at again after this time at the latest, ms. */
  longestWaitMs: number;
}

/** The run to look at, and the trace that its alerts belong to. */
export interface RunAtHand {
  run: RunAggregate;
  traceparent: string | undefined;
}

/** The run to look at, and the trace that its alerts belong to. */
export interface RunAtHand {
  run: RunAggregate;
  traceparent: string | undefined;
}

/** Clocks of workers and of Postgres differ: a configuration sees what happened up to this long before it was made, ms. */
const CLOCK_SLACK_MS = 30_000;
/** A run whose end is being written, or looked at, is waited for that long, ms. */
const PREDECESSOR_WAIT_MS = 250;

/** Runs of one sync that go on while later ones end; of more, the oldest are taken for lost. */
const MOST_GOING_ON = 20;

const DONE: WorkResult = { kind: "done" };

const isWatching = ({ since }: AlertConfiguration, at: Date | null): boolean =>
  at !== null && at.getTime() + CLOCK_SLACK_MS >= since.getTime();

/**
 * Looks at a run that goes on: its start, a full sync, and whether it is late by the start that `lateBy` names. Comes
 * back when it may be late.
 */
export async function evaluateGoing(
  parts: AlertParts,
  { run, traceparent }: RunAtHand,
  lateBy: RuntimeSetting["options"]["start_type"] | null,
): Promise<WorkResult> {
  const history = new RunHistory(await parts.log.load(run));
  // Its end makes up for what was not looked at before.
  if (history.data("sync.completed") !== null) return DONE;
  return withAlertsOf(parts.db, run.syncId, async (trx) => {
    const nowMs = parts.now();
    const configurations = await readAlertConfigurations(trx, run.syncId);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const configuration of configurations) {
      await look(parts, trx, {
        history,
        traceparent,
        configuration,
        moments: beginnings(history, configuration),
      });
      const { setting } = configuration;
      if (setting.type !== "RuntimeAlertConfiguration" || setting.options.start_type !== lateBy) continue;
      const dueMs = overdueAtMs(setting, startsOf(history));
      if (dueMs === null || !isWatching(configuration, history.at("sync.triggered"))) continue;
      if (dueMs > nowMs) nextMs = Math.min(nextMs, dueMs);
      else await look(parts, trx, { history, traceparent, configuration, moments: [{ kind: "overdue" }] });
    }
    if (nextMs === Number.POSITIVE_INFINITY) return DONE;
    return { kind: "again", delayMs: Math.min(nextMs - nowMs, parts.longestWaitMs) };
  });
}

/** Looks at a run that has ended, after every earlier run of its sync, and never again. */
export async function evaluateEnded(parts: AlertParts, { run, traceparent }: RunAtHand): Promise<WorkResult> {
  const { syncId, runId } = run;
  const stored = await parts.log.load(run);
  const history = new RunHistory(stored);
  const completed = history.data("sync.completed");
  if (completed === null) return DONE;
  return withAlertsOf(parts.db, syncId, async (trx) => {
    if (await isEvaluated(trx, syncId, runId)) return DONE;
    const floor = await floorAfter(parts, trx, { run, sequence: stored[0]?.sequence ?? 0 });
    if (floor === null) return { kind: "again", delayMs: PREDECESSOR_WAIT_MS };
    const ended = endedRun(history, completed);
    for (const configuration of await readAlertConfigurations(trx, syncId)) {
      const moments = beginnings(history, configuration);
      if (isWatching(configuration, history.at("sync.completed"))) {
        const { setting } = configuration;
        const isDeviation = setting.type === "RecordCountDeviationAlertConfiguration";
        const before = isDeviation ? await valuesBefore(trx, { syncId, runId }, setting) : [];
        moments.push({ kind: "ended", run: ended, valuesBefore: before });
      }
      await look(parts, trx, { history, traceparent, configuration, moments });
    }
    const counters = completed.status === "ok" ? ended.counters : null;
    await noteEvaluated(trx, { syncId, runId, counters, floor });
    return DONE;
  });
}

/** What has happened of a run's start, for a configuration that watched by then. */
function beginnings(history: RunHistory, configuration: AlertConfiguration): Moment[] {
  const moments: Moment[] = [];
  if (isWatching(configuration, history.at("sync.started"))) {
    moments.push({ kind: "started", runId: history.ids.sync_run_id });
  }
  const checked = history.data("sync.checked");
  if (checked !== null && isWatching(configuration, history.at("sync.checked"))) {
    moments.push({ kind: "checked", fullSync: checked.full_sync, reasons: checked.full_sync_reasons });
  }
  return moments;
}

/** Moves one alert by the moments of a run, in their order. No type has something to say to two of them. */
async function look(
  parts: AlertParts,
  trx: Transaction<Database>,
  what: {
    history: RunHistory;
    traceparent: string | undefined;
    configuration: AlertConfiguration;
    moments: readonly Moment[];
  },
): Promise<void> {
  const { history, traceparent, configuration, moments } = what;
  const { sync_id, sync_run_id: runId } = history.ids;
  const scene: AlertScene = {
    log: parts.log,
    runId,
    followupUrl: `${parts.publicUrl()}/syncs/${sync_id}/runs/${runId}`,
    traceparent,
    nowMs: parts.now(),
    nextEpisode: () => nextEpisode(trx),
  };
  for (const moment of moments) await moveAlert(scene, configuration, judge(configuration.setting, moment));
}

/**
 * Up to where in the log all runs of the sync are looked at once this one is; null while an earlier run is still about to
 * be: it freed its sync before it wrote its last event, or another process has that event in hand. One that goes on, and
 * let this one end before it, such as a run cancelled in the queue, is not waited for.
 */
async function floorAfter(
  { connection: { jsm, topology }, log }: AlertParts,
  trx: Transaction<Database>,
  { run, sequence }: { run: RunAggregate; sequence: number },
): Promise<number | null> {
  const filter = topology.events(`${run.workspaceId}.run.${run.syncId}.*.triggered`);
  const floor = await readFloor(trx, run.syncId);
  const goingOn: number[] = [];
  for (let from = floor + 1; from < sequence; ) {
    const [next] = await loadPage(jsm, topology.eventStreams.runs, { filter, from, count: 1 });
    if (next?.event.type !== "sync.triggered" || next.sequence >= sequence) break;
    from = next.sequence + 1;
    const runId = next.event.data.sync_run_id;
    if (await isEvaluated(trx, run.syncId, runId)) continue;
    const last = await log.last({ ...run, runId });
    if (last?.event.state.startsWith("completed") === true) return null;
    goingOn.push(next.sequence);
  }
  const first = goingOn.at(-MOST_GOING_ON) ?? goingOn[0];
  return first === undefined ? Math.max(floor, sequence) : first - 1;
}

function startsOf(history: RunHistory): RunStarts {
  const triggeredMs = history.at("sync.triggered")?.getTime() ?? 0;
  const tick = history.triggered.scheduled_execution_time ?? null;
  return {
    actualMs: history.at("sync.started")?.getTime() ?? null,
    scheduledMs: tick === null ? triggeredMs : Date.parse(tick),
  };
}

function endedRun(history: RunHistory, completed: EventData<"sync.completed">): EndedRun {
  return {
    ...startsOf(history),
    runId: completed.sync_run_id,
    status: completed.status,
    canceled: completed.canceled,
    errorMessage: completed.error_message,
    counters: runCountersSchema.parse(completed),
    endedMs: history.at("sync.completed")?.getTime() ?? 0,
  };
}
