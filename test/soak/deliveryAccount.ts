/** Checks one delivery of a soak: its history in the log against the plan's script and against what its receiver saw. */

import type { Crash } from "./egretProcesses.ts";
import type { Evidence } from "./evidence.ts";
import type { History, LoggedAttempt } from "./histories.ts";
import { DEAD_TARGET, deliveryId, eventId, expectedOf, fateOf, type Planned } from "./soakPlan.ts";

/** What the checks of all deliveries add up to. */
export interface Findings {
  problems: string[];
  latenessMs: number[];
  /** Deliveries of which a receiver answered an attempt that Egret had given up by then: the machine stalled. */
  lateAnswers: string[];
  acceptedByReceiver: string[];
  /** Accepted, but the worker died before it wrote so, and every later attempt failed. */
  acceptedYetDead: string[];
  total: {
    ended: number;
    delivered: number;
    deadAtDeadTarget: number;
    deadElsewhere: number;
    wrongDead: number;
    offScript: number;
    attemptsAtLive: number;
    repeats: number;
    unexplainedRepeats: number;
    early: number;
    wrongWaits: number;
  };
}

/** Nothing found yet. */
export function newFindings(): Findings {
  return {
    problems: [],
    latenessMs: [],
    lateAnswers: [],
    acceptedByReceiver: [],
    acceptedYetDead: [],
    total: {
      ended: 0,
      delivered: 0,
      deadAtDeadTarget: 0,
      deadElsewhere: 0,
      wrongDead: 0,
      offScript: 0,
      attemptsAtLive: 0,
      repeats: 0,
      unexplainedRepeats: 0,
      early: 0,
      wrongWaits: 0,
    },
  };
}

/** The event's times are whole milliseconds, its duration is not, and the system's clock may be put right meanwhile. */
const CLOCK_SLACK_MS = 10;
/** A request that was sent before a kill may be read a little after it. */
const RECEIVER_SLACK_MS = 1_000;
/** How long after a server's return a worker's renewals may be too late: twice the time after which its work is given away. */
const RENEWAL_SLACK_MS = 10_000;
const TIMED_OUT = /^no answer within/;

type Arrivals = readonly (readonly [attempt: number, at: number])[];

/** One delivery against everything that is known of it. */
export function checkDelivery(evidence: Evidence, planned: Planned, findings: Findings): void {
  const id = deliveryId(planned);
  const history = evidence.histories.get(id);
  if (history === undefined) {
    findings.problems.push(`${id} is not in the log`);
    return;
  }
  const arrivals: Arrivals = evidence.witness.deliveries[id] ?? [];
  const complain = (what: string) => void findings.problems.push(`${id} ${what}`);
  checkShape(planned, history, { findings, complain });
  checkTimes(evidence, history, { findings, complain });
  checkScript(evidence, planned, { history, arrivals, findings, complain });
  checkArrivals(evidence, { planned, history, arrivals, findings, complain });
}

interface Notes {
  findings: Findings;
  complain(what: string): void;
}

/** Created once, versions without a gap, attempts 1, 2, 3 …, one end. */
function checkShape(planned: Planned, history: History, { findings, complain }: Notes): void {
  const { created, eventId: found, versions, attempts, ends } = history;
  if (created !== 1 || found !== eventId(planned.event))
    complain(`was created ${created} times, for ${found}`);
  if (versions.some((version, index) => version !== index + 1))
    complain(`has versions ${versions.join(", ")}`);
  const numbers = attempts.map(({ attempt }) => attempt);
  if (numbers.some((attempt, index) => attempt !== index + 1)) complain(`has attempts ${numbers.join(", ")}`);
  const { total } = findings;
  if (ends.length !== 1) {
    complain(`has ${ends.length} ends: ${ends.join(", ")}`);
    return;
  }
  total.ended += 1;
  if (ends[0] === "delivered") total.delivered += 1;
  else if (planned.target === DEAD_TARGET) total.deadAtDeadTarget += 1;
  else total.deadElsewhere += 1;
}

/** Every wait is the schedule's and runs from the end of the attempt; no retry is early; the dead had all attempts. */
function checkTimes({ options }: Evidence, history: History, { findings, complain }: Notes): void {
  const { total } = findings;
  const { attempts } = history;
  let isRight = true;
  attempts.forEach(({ startedAt, durationMs, delayMs, dueAt }, index) => {
    const next = attempts[index + 1];
    if (delayMs === null || dueAt === null) return;
    const end = startedAt + durationMs;
    if (delayMs !== options.scheduleMs[index] || dueAt < end + delayMs - CLOCK_SLACK_MS) {
      total.wrongWaits += 1;
      isRight = false;
      complain(
        `waits ${delayMs} ms after attempt ${index + 1}, until ${Math.round(dueAt - end)} ms after its end`,
      );
    }
    if (next === undefined) return;
    findings.latenessMs.push(next.startedAt - dueAt);
    if (next.startedAt >= dueAt) return;
    total.early += 1;
    isRight = false;
    complain(`began attempt ${index + 2} ${dueAt - next.startedAt} ms before it was due`);
  });
  if (history.ends[0] !== "dead") return;
  const wanted = options.scheduleMs.length + 1;
  if (isRight && attempts.length === wanted && history.deathReason === "exhausted") return;
  total.wrongDead += 1;
  complain(`died with ${attempts.length} attempts of ${wanted}: ${history.deathReason}`);
}

/** Each attempt in the log came to what its receiver's script says, or to a time-out of an answer that was too slow. */
function checkScript(
  { options }: Evidence,
  planned: Planned,
  { history, arrivals, findings, complain }: Notes & { history: History; arrivals: Arrivals },
): void {
  const id = deliveryId(planned);
  const lastEnd = history.ends[0];
  let isLate = false;
  for (const logged of history.attempts) {
    const verdict = judge(options.timeoutMs, logged, {
      isAccepted: lastEnd === "delivered" && logged === history.attempts.at(-1),
      fate: planned.target === DEAD_TARGET ? null : fateOf(options, planned, logged.attempt),
    });
    if (verdict === "late") isLate = true;
    if (verdict !== "wrong") continue;
    findings.total.offScript += 1;
    complain(`attempt ${logged.attempt}: ${logged.httpStatus} ${logged.error}, against its script`);
  }
  if (isLate) findings.lateAnswers.push(id);
  const isAccepted = arrivals.some(([attempt]) => fateOf(options, planned, attempt).kind === "accept");
  if (isAccepted) findings.acceptedByReceiver.push(id);
  const expected = expectedOf(options, planned);
  if (isAccepted && lastEnd === "dead" && isLate) findings.acceptedYetDead.push(id);
  else if (!isLate && (lastEnd !== expected.end || history.attempts.length !== expected.attempts)) {
    complain(
      `is ${lastEnd} after ${history.attempts.length} attempts, not ${expected.end} after ${expected.attempts}`,
    );
  }
}

/** Whether an attempt went by its script; `fate` is null where nobody listens. */
function judge(
  timeoutMs: number,
  { durationMs, httpStatus, error }: LoggedAttempt,
  { isAccepted, fate }: { isAccepted: boolean; fate: ReturnType<typeof fateOf> | null },
): "right" | "late" | "wrong" {
  const isTimeout = !isAccepted && httpStatus === null && TIMED_OUT.test(error ?? "");
  if (isTimeout && durationMs < timeoutMs - CLOCK_SLACK_MS) return "wrong";
  if (fate === null) return !isAccepted && httpStatus === null ? "right" : "wrong";
  if (fate.kind === "hang") return isTimeout ? "right" : "wrong";
  if (isTimeout) return fate.kind === "accept" ? "late" : "right";
  const isRight = isAccepted === (fate.kind === "accept") && httpStatus === fate.httpStatus;
  return isRight ? "right" : "wrong";
}

/** Every attempt in the log came to the receiver and no other did; repeats span a crash; the receiver's clock agrees. */
function checkArrivals(
  { options, crashes }: Evidence,
  notes: Notes & { planned: Planned; history: History; arrivals: Arrivals },
): void {
  const { planned, history, arrivals, findings, complain } = notes;
  const { total } = findings;
  if (planned.target === DEAD_TARGET) return;
  total.attemptsAtLive += history.attempts.length;
  const byAttempt = Map.groupBy(arrivals, ([attempt]) => attempt);
  const firstOf = (attempt: number) => byAttempt.get(attempt)?.[0]?.[1] ?? null;
  for (const { attempt, error } of history.attempts) {
    if (firstOf(attempt) !== null) continue;
    total.attemptsAtLive -= 1;
    // A machine that stalls can use up the time before a byte is sent.
    if (!TIMED_OUT.test(error ?? "")) complain(`attempt ${attempt} is in the log and never came`);
  }
  for (const [attempt, each] of byAttempt) {
    if (attempt > history.attempts.length) complain(`attempt ${attempt} came and is not in the log`);
    each.slice(1).forEach(([, at], index) => {
      total.repeats += 1;
      const before = each[index]?.[1] ?? at;
      if (crashes.some((crash) => spans(crash, before, at))) return;
      total.unexplainedRepeats += 1;
      complain(`attempt ${attempt} came again after ${at - before} ms without a crash between`);
    });
    const [here, next, delayMs] = [firstOf(attempt), firstOf(attempt + 1), options.scheduleMs[attempt - 1]];
    if (here === null || next === null || delayMs === undefined || next - here >= delayMs) continue;
    total.early += 1;
    complain(
      `attempt ${attempt + 1} came ${next - here} ms after attempt ${attempt}, by the receiver's clock`,
    );
  }
}

/** Whether what happened between two requests can be put down to a crash. */
function spans({ kind, fromMs, untilMs }: Crash, before: number, after: number): boolean {
  // A killed worker has made its requests by then; a server that was away leaves workers at work whose items went to others.
  const slackMs = kind === "worker" ? RECEIVER_SLACK_MS : RENEWAL_SLACK_MS;
  return before <= untilMs + slackMs && after >= fromMs;
}
