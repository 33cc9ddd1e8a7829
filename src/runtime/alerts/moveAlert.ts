/** Moves one alert by what a run shows, or because nobody watches any more: one event each, and none twice. */
import { ALERT_MACHINE, type AlertContext, type AlertFact } from "../../../machines/alert.ts";
import type { AlertConfiguration } from "../../configuration/alertConfigurations.ts";
import type { AlertAggregate } from "../../domain/aggregate.ts";
import { factFor, type Verdict } from "../../domain/alert.ts";
import type { EventData } from "../../domain/event.ts";
import type { EventDraft, EventLog } from "../../log/eventLog.ts";
import { type Decision, decide, record } from "../actor.ts";
import { type AlertActor, readAlert } from "./alertActor.ts";

/** The run at which alerts are looked at, and what comes into the events from outside. */
export interface AlertScene {
  log: EventLog;
  runId: number;
  followupUrl: string;
  traceparent: string | undefined;
  nowMs: number;
  /** The number of a new episode. */
  nextEpisode(): Promise<number>;
}

interface Drafted {
  decision: Decision;
  draft: Omit<EventDraft, "state">;
}

/** The aggregate of what a configuration watches. */
export function alertAggregate(configuration: AlertConfiguration): AlertAggregate {
  const { id: alertId, workspaceId, syncId } = configuration;
  return { kind: "alert", workspaceId, syncId, alertId };
}

/**
 * Appends what a verdict makes of an alert, if anything. A run that moved the alert already does not move it again, so
 * that whoever reads a run's event twice, or dies in between, raises nothing twice.
 * @throws VersionConflict when another process moved it first; Unavailable when the log does not answer.
 */
export async function moveAlert(
  scene: AlertScene,
  configuration: AlertConfiguration,
  verdict: Verdict,
): Promise<void> {
  if (verdict === null) return;
  const { log, runId: run, followupUrl, traceparent, nowMs } = scene;
  const alert = await readAlert(log, alertAggregate(configuration));
  if (alert.context.run >= run) return;
  const sendFor = configuration.setting.send_for;
  const type = factFor(verdict, { isRaised: alert.isRaised, sendFor });
  if (type === null) return;
  const { message, details } = verdict;
  const fact: MoveFact =
    type === "limit.kept"
      ? { type, run }
      : { type, run, episode: alert.context.episode ?? (await scene.nextEpisode()) };
  const { decision, draft } = draftMove(alert, configuration, { fact, message, details, followupUrl });
  await record(log, alert, { decision, draft: { ...draft, time: new Date(nowMs), traceparent } });
}

/** Closes the alert of a configuration that nobody has any more, if it is raised; subscribers are not told. */
export async function closeAlert(
  { log, nowMs }: Pick<AlertScene, "log" | "nowMs">,
  configuration: AlertConfiguration,
  reason: CloseReason,
): Promise<void> {
  const alert = await readAlert(log, alertAggregate(configuration));
  if (!alert.isRaised) return;
  const { decision, draft } = draftClose(alert, configuration, reason);
  await record(log, alert, { decision, draft: { ...draft, time: new Date(nowMs) } });
}

type MoveFact = Exclude<AlertFact, { type: "watch.ended" }>;
type CloseReason = Exclude<EventData<"alert.resolved">["reason"], "recovered">;

/**
 * The decision that a fact of a run leads to, and its event.
 * @throws FactRefused when the machine does not take the fact now.
 */
export function draftMove(
  { snapshot, context }: Pick<AlertActor, "snapshot" | "context">,
  configuration: AlertConfiguration,
  telling: { fact: MoveFact; message: string; details: string; followupUrl: string },
): Drafted {
  const { fact, message, details, followupUrl } = telling;
  const decision = decide(snapshot, fact);
  const texts = { sync_run_id: fact.run, message, details, followup_url: followupUrl };
  if (fact.type !== "limit.kept") {
    // A moment is over as it happens: the machine does not count it.
    const times = Math.max(1, (decision.snapshot.context as AlertContext).times);
    const ids = idsOf(configuration, { episode: fact.episode, times });
    const data: EventData<"alert.raised"> = { ...ids, ...texts, fact: fact.type };
    return { decision, draft: { type: "alert.raised", machine: ALERT_MACHINE, data } };
  }
  const data: EventData<"alert.resolved"> = {
    ...idsOf(configuration, context),
    ...texts,
    last_raised_run_id: context.run,
    fact: fact.type,
    reason: "recovered",
  };
  return { decision, draft: { type: "alert.resolved", machine: ALERT_MACHINE, data } };
}

/**
 * The decision that closes an alert without a word, and its event.
 * @throws FactRefused when it is not raised.
 */
export function draftClose(
  { snapshot, context }: Pick<AlertActor, "snapshot" | "context">,
  configuration: AlertConfiguration,
  reason: CloseReason,
): Drafted {
  const decision = decide(snapshot, { type: "watch.ended" });
  const data: EventData<"alert.resolved"> = {
    ...idsOf(configuration, context),
    sync_run_id: null,
    last_raised_run_id: context.run,
    fact: "watch.ended",
    reason,
    message: null,
    details: null,
    followup_url: null,
  };
  return { decision, draft: { type: "alert.resolved", machine: ALERT_MACHINE, data } };
}

function idsOf(
  { id, workspaceId, syncId, setting }: AlertConfiguration,
  { episode, times }: Pick<AlertContext, "episode" | "times">,
) {
  return {
    workspace_id: workspaceId,
    sync_id: syncId,
    alert_id: id,
    // A raised alert has one, and nothing is drafted for another.
    alert_instance_id: episode ?? 0,
    alert_type: setting.type,
    times,
  };
}
