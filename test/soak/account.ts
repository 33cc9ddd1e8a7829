/** Whether a soak adds up: the plan, the log, the receivers and the read model told against one another. */

import { checkDelivery, type Findings, newFindings } from "./deliveryAccount.ts";
import type { Crash } from "./egretProcesses.ts";
import type { Evidence } from "./evidence.ts";
import { DEAD_TARGET, deliveryId, eventId, expectedOf, plannedOf } from "./soakPlan.ts";

/** One line: what was counted, what it had to be, and whether it is. */
export interface AccountLine {
  what: string;
  found: number;
  /** A number, or a bound in words; null where the line only reports. */
  wanted: string | null;
  ok: boolean;
}

/** The account. */
export interface Account {
  ok: boolean;
  /** From the first delivery to the end of the last. */
  seconds: number;
  lines: AccountLine[];
  /** From when retries were due to when they began, ms; those that a crash held up included. */
  lateness: { count: number; p50: number; p99: number; max: number };
  /** The first few things that are wrong, in words. */
  problems: string[];
}

const MOST_PROBLEMS = 20;

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** Ids of events by webhook, as texts that two accounts can be held against each other by. */
function byWebhook(ids: Iterable<string>): Map<number, Set<string>> {
  const sets = new Map<number, Set<string>>();
  for (const id of ids) {
    const planned = plannedOf(id);
    if (planned === null) continue;
    const set = sets.get(planned.target) ?? new Set();
    sets.set(planned.target, set.add(eventId(planned.event)));
  }
  return sets;
}

/** Webhooks whose two sets of event ids are not the same. */
function differing(targets: number, a: Map<number, Set<string>>, b: Map<number, Set<string>>): number[] {
  const none = new Set<string>();
  return Array.from({ length: targets }, (_, target) => target).filter((target) => {
    const [here, there] = [a.get(target) ?? none, b.get(target) ?? none];
    return here.size !== there.size || [...here].some((id) => !there.has(id));
  });
}

/** Events that the log calls delivered, that receivers accepted, and that the plan wants accepted. */
function acceptance({ options, plan, histories }: Evidence, findings: Findings) {
  const planned = plan.filter((each) => expectedOf(options, each).end === "delivered").map(deliveryId);
  const delivered = [...histories].filter(([, { ends }]) => ends.includes("delivered")).map(([id]) => id);
  // An answer that came after Egret's time-out leads to further attempts, whose answers the plan did not count on.
  const late = new Set(findings.lateAnswers);
  const expected = byWebhook([
    ...planned.filter((id) => !late.has(id)),
    ...delivered.filter((id) => late.has(id)),
  ]);
  return {
    expected,
    delivered: byWebhook(delivered),
    accepted: byWebhook(findings.acceptedByReceiver.filter((id) => !findings.acceptedYetDead.includes(id))),
  };
}

/** Requests beyond the first of the same attempt: each has to span a crash, and there is a bound to their number. */
function repeatBound({ options, crashes }: Evidence): number {
  const processes = 2;
  const cut = (crash: Crash) => (crash.kind === "worker" ? 1 : processes) * options.concurrency;
  return crashes.reduce((sum, crash) => sum + cut(crash), 0);
}

/** Deliveries of which the read model says something else than the log. */
function readModelDiffers({ histories, readModel }: Evidence): string[] {
  const inLog = [...histories].filter(([id, { ends }]) => readModel.get(id) !== ends[0]).map(([id]) => id);
  return [...inLog, ...[...readModel.keys()].filter((id) => !histories.has(id))];
}

/** Works the account out. */
export function drawUp(evidence: Evidence): Account {
  const { options, plan, histories, witness, crashes, surprises } = evidence;
  const findings = newFindings();
  for (const planned of plan) checkDelivery(evidence, planned, findings);
  const known = new Set(plan.map(deliveryId));
  for (const id of histories.keys())
    if (!known.has(id)) findings.problems.push(`${id} was never created by us`);
  const { expected, delivered, accepted } = acceptance(evidence, findings);
  const wrongWebhooks = new Set([
    ...differing(options.targets, expected, delivered),
    ...differing(options.targets, delivered, accepted),
  ]);
  for (const target of wrongWebhooks) {
    const sizes = [expected, delivered, accepted].map((sets) => sets.get(target)?.size ?? 0);
    findings.problems.push(`webhook ${target}: ${sizes.join(", ")} expected, delivered in the log, accepted`);
  }
  const bound = repeatBound(evidence);
  const deadAtDeadTarget = plan.filter(({ target }) => target === DEAD_TARGET).length;
  const kills = crashes.filter(({ kind }) => kind === "worker").length;
  const wrongReadModel = readModelDiffers(evidence);
  for (const id of wrongReadModel)
    findings.problems.push(`${id} is ${evidence.readModel.get(id)} in the read model`);
  const { total } = findings;

  const exactly = (what: string, found: number, wanted: number): AccountLine => ({
    what,
    found,
    wanted: wanted.toLocaleString("en-US"),
    ok: found === wanted,
  });
  const told = (what: string, found: number): AccountLine => ({ what, found, wanted: null, ok: true });
  const lines: AccountLine[] = [
    exactly("deliveries in the log", histories.size, plan.length),
    exactly("deliveries that ended, once", total.ended, plan.length),
    told("  delivered", total.delivered),
    told("  dead at the dead webhook", total.deadAtDeadTarget),
    told("  dead elsewhere, by the plan's bad luck", total.deadElsewhere),
    exactly("deliveries to the dead webhook that died", total.deadAtDeadTarget, deadAtDeadTarget),
    exactly("dead deliveries without six attempts on schedule", total.wrongDead, 0),
    exactly("webhooks whose accepted events are not the expected", wrongWebhooks.size, 0),
    exactly("attempts in the log that went against their script", total.offScript, 0),
    told("  answered too late for Egret, so tried again", findings.lateAnswers.length),
    told("  accepted, never told, dead in the end", findings.acceptedYetDead.length),
    exactly("requests at the receivers", witness.requests, total.attemptsAtLive + total.repeats),
    told("  attempts in the log, without the dead webhook's", total.attemptsAtLive),
    {
      what: "  repeats after a crash",
      found: total.repeats,
      wanted: `<= ${bound}`,
      ok: total.repeats <= bound,
    },
    exactly("repeats that no crash explains", total.unexplainedRepeats, 0),
    exactly("requests that are not of the plan", witness.strangers, 0),
    exactly("wrong signatures", witness.badSignatures, 0),
    exactly("bodies that are not the event's bytes", witness.badBodies, 0),
    exactly("retries that began before they were due", total.early, 0),
    exactly("waits that are not the schedule's", total.wrongWaits, 0),
    exactly("deliveries whose read model is not the log's", wrongReadModel.length, 0),
    told("workers killed with -9", kills),
    told("servers killed with -9 and started again", crashes.length - kills),
    exactly("processes that ended by themselves", surprises.length, 0),
  ];
  const sorted = findings.latenessMs.sort((a, b) => a - b);
  const problems = [...findings.problems, ...surprises];
  return {
    ok: lines.every(({ ok }) => ok) && problems.length === 0,
    seconds: evidence.seconds,
    lines,
    lateness: {
      count: sorted.length,
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      max: sorted.at(-1) ?? 0,
    },
    problems:
      problems.length > MOST_PROBLEMS
        ? [...problems.slice(0, MOST_PROBLEMS), `and ${problems.length - MOST_PROBLEMS} more`]
        : problems,
  };
}
