/** How an alert's events and its machine's facts correspond, and how an alert is brought up to date from the log. */
import { ALERT_MACHINE, type AlertContext, type AlertFact, alertMachine } from "../../../machines/alert.ts";
import { type AlertAggregate, aggregateName } from "../../domain/aggregate.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../../domain/event.ts";
import { type EventLog, headOf, NEW_AGGREGATE } from "../../log/eventLog.ts";
import { type Actor, type Behaviour, begin, decide } from "../actor.ts";

/** Events of alerts. */
export type AlertEvent = Extract<AnyEvent, { type: `alert.${string}` }>;

/** An alert as its history left it; one without a history is resolved. */
export interface AlertActor extends Actor {
  aggregate: AlertAggregate;
  context: AlertContext;
  isRaised: boolean;
}

export const alertBehaviour: Behaviour<AlertFact> = {
  name: ALERT_MACHINE,
  machine: alertMachine,
  input: () => undefined,
  fact: (event) => factOf(asAlertEvent(event)),
};

/** True for an event of an alert. */
export function isAlertEvent(event: AnyEvent): event is AlertEvent {
  return event.type === "alert.raised" || event.type === "alert.resolved";
}

function asAlertEvent(event: AnyEvent): AlertEvent {
  if (isAlertEvent(event)) return event;
  throw new LogCorrupt(`${event.type} is no event of an alert`);
}

function factOf(event: AlertEvent): AlertFact {
  if (event.type === "alert.raised") {
    const { fact, sync_run_id: run, alert_instance_id: episode } = event.data;
    return { type: fact, run, episode };
  }
  const { fact, sync_run_id: run } = event.data;
  return fact === "watch.ended" || run === null ? { type: "watch.ended" } : { type: "limit.kept", run };
}

/** An alert that nothing happened to yet: unlike other actors it has a state before its first event. */
export function untouchedAlert(aggregate: AlertAggregate): AlertActor {
  const { snapshot } = begin(alertBehaviour, undefined);
  return asAlert({ aggregate, snapshot, effects: [], head: NEW_AGGREGATE });
}

/** An actor seen as an alert. */
export function asAlert(actor: Actor): AlertActor {
  const { snapshot } = actor;
  return {
    ...actor,
    aggregate: actor.aggregate as AlertAggregate,
    context: snapshot.context as AlertContext,
    isRaised: snapshot.value === "raised",
  };
}

/**
 * An alert from its whole history.
 * @throws LogCorrupt when an event leads elsewhere than it says; FactRefused when it could not have happened.
 */
export function replayAlert(aggregate: AlertAggregate, history: readonly StoredEvent[]): AlertActor {
  let { snapshot } = untouchedAlert(aggregate);
  let effects: readonly string[] = [];
  for (const { event } of history) {
    const decision = decide(snapshot, alertBehaviour.fact(event));
    if (decision.state !== event.state) {
      const place = `${aggregateName(aggregate)} version ${event.version}`;
      throw new LogCorrupt(`${place} says state ${event.state}, replay gives ${decision.state}`);
    }
    ({ snapshot, effects } = decision);
  }
  return asAlert({ aggregate, snapshot, effects, head: headOf(history) });
}

/** An alert from its last event alone, which carries all of the machine's memory: histories grow with the runs. */
export function resumeAlert(aggregate: AlertAggregate, stored: StoredEvent): AlertActor {
  const event = asAlertEvent(stored.event);
  const { alert_instance_id, times } = event.data;
  const run =
    event.type === "alert.raised"
      ? event.data.sync_run_id
      : (event.data.sync_run_id ?? event.data.last_raised_run_id);
  const open = { run, episode: alert_instance_id, times };
  const context: AlertContext = event.state === "raised" ? open : { run, episode: null, times: 0 };
  const snapshot = alertMachine.resolveState({ value: event.state, context });
  return asAlert({ aggregate, snapshot, effects: [], head: headOf([stored]) });
}

/**
 * The alert as the log has it now.
 * @throws Unavailable when the log cannot be read.
 */
export async function readAlert(log: Pick<EventLog, "last">, aggregate: AlertAggregate): Promise<AlertActor> {
  const last = await log.last(aggregate);
  return last === null ? untouchedAlert(aggregate) : resumeAlert(aggregate, last);
}
