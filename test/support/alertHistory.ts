/** Makes the history of an alert from what happened to it, through the code that moves real ones, checked event by event. */
import type { AlertContext, AlertFact } from "../../machines/alert.ts";
import type { AlertConfiguration } from "../../src/configuration/alertConfigurations.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { decide } from "../../src/runtime/actor.ts";
import { type AlertActor, untouchedAlert } from "../../src/runtime/alerts/alertActor.ts";
import { alertAggregate, draftClose, draftMove } from "../../src/runtime/alerts/moveAlert.ts";
import { EPOCH_MS, type EventParts, makeEvent } from "./events.ts";

export interface AlertShape {
  alertId: number;
  syncId?: number;
  startMs?: number;
  facts: readonly AlertFact["type"][];
}

/** The history: each fact comes with a run of its own, from 7001 on; what the machine does not take is left out. */
export function alertHistory({ alertId, syncId = 88, startMs = EPOCH_MS, facts }: AlertShape): AnyEvent[] {
  const configuration: AlertConfiguration = {
    id: alertId,
    workspaceId: 12,
    syncId,
    since: new Date(startMs),
    setting: {
      type: "FailureAlertConfiguration",
      send_for: "every_time",
      should_send_recovery: true,
      options: null,
    },
  };
  const events: AnyEvent[] = [];
  const untouched = untouchedAlert(alertAggregate(configuration));
  let alert: Pick<AlertActor, "snapshot" | "context"> = untouched;
  let episode = alertId * 100;
  for (const [index, type] of facts.entries()) {
    const runId = 7001 + index;
    const open = alert.context.episode;
    const fact: AlertFact =
      type === "watch.ended"
        ? { type }
        : type === "limit.kept"
          ? { type, run: runId }
          : { type, run: runId, episode: open ?? ++episode };
    if (!alert.snapshot.can(fact)) continue;
    const telling = { message: `message ${index}`, details: `details ${index}`, followupUrl: "https://x/1" };
    const { decision, draft } =
      fact.type === "watch.ended"
        ? draftClose(alert, configuration, "configuration_deleted")
        : draftMove(alert, configuration, { fact, ...telling });
    const version = events.length + 1;
    const parts = {
      ...draft,
      subject: `alert/${alertId}`,
      version,
      state: decision.state,
      atMs: startMs + version * 1_000,
    } as EventParts<"alert.raised" | "alert.resolved">;
    events.push(makeEvent(parts));
    const { snapshot } = decide(alert.snapshot, fact);
    alert = { snapshot, context: snapshot.context as AlertContext };
  }
  return events;
}
