/** Moves a machine by facts: fold a history, decide the next transition, append it. No effect is performed here. */
import { type AnyMachineSnapshot, type AnyStateMachine, initialTransition, transition } from "xstate";
import type { Aggregate } from "../domain/aggregate.ts";
import { aggregateName } from "../domain/aggregate.ts";
import { FactRefused, LogCorrupt } from "../domain/errors.ts";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import { type EventDraft, type EventLog, type Head, headOf } from "../log/eventLog.ts";

/** A fact that a machine takes. */
export interface Fact {
  type: string;
}

/** How one kind of aggregate is replayed: its machine, what the first event gives it, and the fact in each later one. */
export interface Behaviour<F extends Fact> {
  /** Name and version of the statechart, such as `delivery@1`. */
  name: string;
  machine: AnyStateMachine;
  input(first: AnyEvent): unknown;
  fact(event: AnyEvent): F;
}

/** An actor as its history left it. `effects` are the names of what its last transition asked for. */
export interface Actor {
  aggregate: Aggregate;
  snapshot: AnyMachineSnapshot;
  head: Head;
  effects: readonly string[];
}

/** What a fact would do: the state it leads to, and the wait that the machine asks for, ms. */
export interface Decision {
  snapshot: AnyMachineSnapshot;
  state: string;
  effects: readonly string[];
  delayMs: number | null;
}

/** Dotted name of a state, such as `started.loading`. */
export function stateName(snapshot: AnyMachineSnapshot): string {
  const names: string[] = [];
  let value: unknown = snapshot.value;
  while (typeof value === "object" && value !== null) {
    const [name, child] = Object.entries(value)[0] ?? [];
    if (name === undefined) break;
    names.push(name);
    value = child;
  }
  return typeof value === "string" ? [...names, value].join(".") : names.join(".");
}

/** True once nothing more happens to the actor by itself: it is in a state that its statechart tags `ended`. */
export function hasEnded(snapshot: AnyMachineSnapshot): boolean {
  return snapshot.hasTag("ended");
}

interface Action {
  type: string;
  params?: unknown;
}

function split(actions: readonly Action[]): { effects: string[]; delayMs: number | null } {
  let delayMs: number | null = null;
  const effects: string[] = [];
  for (const action of actions) {
    // A statechart's `after` comes out as a delayed raise; the runtime keeps that time in the event instead.
    if (action.type === "xstate.raise") delayMs = (action.params as { delay?: number }).delay ?? null;
    else if (!action.type.startsWith("xstate.")) effects.push(action.type);
  }
  return { effects, delayMs };
}

/** Beginnings differ by their input only, and a snapshot never changes: each is worked out once. */
const beginnings = new Map<string, Decision>();
const MAX_BEGINNINGS = 256;

/** The decision that brings an aggregate into being. */
export function begin<F extends Fact>(behaviour: Behaviour<F>, input: unknown): Decision {
  const key = `${behaviour.name} ${JSON.stringify(input)}`;
  const known = beginnings.get(key);
  if (known !== undefined) return known;
  const [snapshot, actions] = initialTransition(behaviour.machine, input);
  const decision = { snapshot, state: stateName(snapshot), ...split(actions) };
  if (beginnings.size >= MAX_BEGINNINGS) beginnings.clear();
  beginnings.set(key, decision);
  return decision;
}

/** What each snapshot answered to a fact: most actors of a kind live the same few lives, and beginnings are shared. */
const decisions = new WeakMap<AnyMachineSnapshot, Map<string, Decision>>();
const MAX_DECISIONS = 32;

/**
 * The decision that a fact leads to; the same object each time, since transition functions are pure (I3).
 * @throws FactRefused when the machine does not take this fact in its present state (I3).
 */
export function decide(snapshot: AnyMachineSnapshot, fact: Fact): Decision {
  let known = decisions.get(snapshot);
  if (known === undefined) decisions.set(snapshot, (known = new Map<string, Decision>()));
  const key = JSON.stringify(fact);
  let decision = known.get(key);
  if (decision === undefined) {
    decision = workOut(snapshot, fact);
    if (known.size < MAX_DECISIONS) known.set(key, decision);
  }
  return decision;
}

function workOut(snapshot: AnyMachineSnapshot, fact: Fact): Decision {
  // Some ended actors can begin again; what cannot has no transition that takes the fact.
  if (!snapshot.can(fact)) {
    throw new FactRefused(`${fact.type} cannot happen in state ${stateName(snapshot)}`);
  }
  const [next, actions] = transition(snapshot.machine, snapshot, fact);
  return { snapshot: next, state: stateName(next), ...split(actions) };
}

/**
 * An actor from its history.
 * @throws LogCorrupt when an event leads elsewhere than it says, or could not have happened.
 */
export function replay<F extends Fact>(
  behaviour: Behaviour<F>,
  aggregate: Aggregate,
  history: readonly StoredEvent[],
): Actor {
  const first = history[0];
  if (first === undefined) throw new LogCorrupt(`${aggregateName(aggregate)} has no events`);
  let decision = begin(behaviour, behaviour.input(first.event));
  compareState(aggregate, first.event, decision);
  for (const { event } of history.slice(1)) {
    try {
      decision = decide(decision.snapshot, behaviour.fact(event));
    } catch (cause) {
      if (!(cause instanceof FactRefused)) throw cause;
      throw new LogCorrupt(`${aggregateName(aggregate)} version ${event.version}: ${cause.message}`, {
        cause,
      });
    }
    compareState(aggregate, event, decision);
  }
  return { aggregate, snapshot: decision.snapshot, head: headOf(history), effects: decision.effects };
}

function compareState(aggregate: Aggregate, event: AnyEvent, { state }: Decision): void {
  if (event.state === state) return;
  throw new LogCorrupt(
    `${aggregateName(aggregate)} version ${event.version} says state ${event.state}, replay gives ${state}`,
  );
}

/**
 * Appends the event of a decision and returns the actor after it.
 * @throws VersionConflict when someone else moved the actor first: load it and decide again.
 */
export async function record(
  log: EventLog,
  actor: Pick<Actor, "aggregate" | "head">,
  { decision, draft }: { decision: Decision; draft: Omit<EventDraft, "state"> },
): Promise<Actor & { event: AnyEvent }> {
  const stored = await log.append(actor.aggregate, { ...draft, state: decision.state }, actor.head);
  const head = { version: stored.event.version, sequence: stored.sequence };
  const { snapshot, effects } = decision;
  return { aggregate: actor.aggregate, snapshot, head, effects, event: stored.event };
}
