/** Takes triggered runs from the log and moves each to its end, resuming where a dead worker left it. */
import { setTimeout as delay } from "node:timers/promises";
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { SYNC_RUN_MACHINE } from "../../../machines/syncRun.ts";
import { LogCorrupt, RunFailure, toError, VersionConflict } from "../../domain/errors.ts";
import type { AnyEvent, EgretEvent } from "../../domain/event.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { CONSUMERS } from "../../log/topology.ts";
import { type Actor, decide, hasEnded, record, replay } from "../actor.ts";
import type { DeliveryIntake } from "../deliveries/deliveryIntake.ts";
import { NO_TRACING, type OpenSpan, type Tracing } from "../telemetry/tracing.ts";
import type { RunAdmission } from "../triggers/runAdmission.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import { watchForCancel } from "./cancelWatch.ts";
import { RunHistory, runBehaviour, runFact } from "./runActor.ts";
import type { RunEngine } from "./runSession.ts";
import { failureOf, RUN_STEPS, type RunInWork, type StepResult } from "./runSteps.ts";

export interface RunWorkerOptions {
  connection: LogConnection;
  log: EventLog;
  intake: DeliveryIntake;
  engine: RunEngine;
  /** Name of this worker in `sync.started`. */
  worker: string;
  concurrency: number;
  /** Places of its workspace; without, every run is taken up. */
  admission?: RunAdmission;
  logger: Logger;
  tracing?: Tracing;
  now?: () => number;
}

/** A run that another worker has, or that moved under us, is looked at again after this, ms. */
const ELSEWHERE_MS = 2_000;
/** Waits before a step is tried again when the source's connection fails, ms; then the run fails. */
const SOURCE_RETRY_DELAYS_MS = [1_000, 2_000, 4_000, 8_000];
/** A step that keeps failing for no known reason ends the run after this many tries. */
const MAX_SURPRISES = 6;

/** Starts a run worker; several may share the work. */
export function startRunWorker(options: RunWorkerOptions): WorkQueue {
  const stop = new AbortController();
  const queue = startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.eventStreams.runs,
    consumer: CONSUMERS.runs,
    concurrency: () => options.concurrency,
    logger: options.logger,
    handle: (message) => handleRun(options, message, stop.signal),
  });
  return {
    wake: () => queue.wake(),
    close: () => {
      // A run is parked at its next safe point; whoever takes it up goes on from there.
      stop.abort();
      return queue.close();
    },
  };
}

/** Takes a run up if there is a place for it, and gives the place back. */
async function handleRun(
  options: RunWorkerOptions,
  message: JsMsg,
  signal: AbortSignal,
): Promise<WorkResult> {
  const event = decodeEvent(message.data, message.subject);
  if (event.type !== "sync.triggered") throw new LogCorrupt(`${event.type} is not a work item`);
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = event.data;
  const run = { kind: "run", workspaceId, syncId, runId } as const;
  const entry = (await options.admission?.enter(run)) ?? { kind: "admitted", parked: 0 };
  if (entry.kind === "later") return { kind: "again", delayMs: entry.delayMs };
  let leaving: Parameters<RunAdmission["leave"]>[1] = "parked";
  try {
    const result = await workOnRun(options, message, { event, signal, parked: entry.parked });
    if (result === null) leaving = "elsewhere";
    else if (result.kind === "done") leaving = "ended";
    return result ?? { kind: "again", delayMs: ELSEWHERE_MS };
  } finally {
    await options.admission?.leave(run, leaving);
  }
}

/** Null while another worker has the run. */
async function workOnRun(
  options: RunWorkerOptions,
  message: JsMsg,
  { event, signal, parked }: { event: EgretEvent<"sync.triggered">; signal: AbortSignal; parked: number },
): Promise<WorkResult | null> {
  const { log, engine, logger } = options;
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = event.data;
  const session = await engine.open({ workspaceId, syncId, runId });
  if (session === null) return null;
  const span = (options.tracing ?? NO_TRACING).run(event.traceparent, event.data);
  const aggregate = { kind: "run", workspaceId, syncId, runId } as const;
  const watch = watchForCancel(options, aggregate);
  try {
    const stored =
      message.info.deliveryCount === 1 ? [{ event, sequence: message.seq }] : await log.load(aggregate);
    const actor = replay(runBehaviour, aggregate, stored);
    const run = inWork(options, {
      history: new RunHistory(stored),
      session,
      signal: AbortSignal.any([signal, watch.signal]),
      parking: signal,
    });
    const result = await moveToEnd(run, actor, {
      logger,
      surprises: message.info.deliveryCount - parked,
      traceparent: span.traceparent,
    });
    span.end({ error: run.history.data("sync.completed")?.error_code ?? undefined });
    return result;
  } catch (error) {
    span.end(brokenOff(error, signal));
    if (signal.aborted) return { kind: "again", delayMs: 0 };
    if (error instanceof VersionConflict) return { kind: "again", delayMs: ELSEWHERE_MS };
    throw error;
  } finally {
    watch.close();
    await session.close();
  }
}

function inWork(
  { connection, log, intake, worker, tracing = NO_TRACING, now }: RunWorkerOptions,
  part: Pick<RunInWork, "history" | "session" | "signal" | "parking">,
): RunInWork {
  return { ...part, connection, log, intake, tracing, worker, now: now ?? Date.now };
}

async function moveToEnd(
  run: RunInWork,
  actor: Actor,
  { logger, surprises, traceparent }: { logger: Logger; surprises: number; traceparent: string | undefined },
): Promise<WorkResult> {
  let current = actor;
  while (!hasEnded(current.snapshot)) {
    // What ends a cancelled run is not aborted by its being cancelled.
    if (run.history.data("sync.cancel_requested") !== null) run.signal = run.parking;
    run.parking.throwIfAborted();
    let next: Actor & { event: AnyEvent };
    try {
      next = await takeStep(run, current, { logger, surprises, traceparent });
    } catch (error) {
      current = await afterCancel(run, error);
      continue;
    }
    run.history.add(next.event);
    const { sync_run_id, sync_id } = run.history.ids;
    logger.info({ run: sync_run_id, sync: sync_id, state: next.event.state }, next.event.type);
    current = next;
  }
  return { kind: "done" };
}

/**
 * Somebody asked for the run to be cancelled while a step of it was at work, or had even ended it while it waited: the
 * run as the log has it now. Any other error is thrown again.
 */
async function afterCancel(run: RunInWork, error: unknown): Promise<Actor> {
  const isMoved = error instanceof VersionConflict || run.signal.aborted;
  if (!isMoved || run.parking.aborted) throw error;
  const { aggregate } = run.history;
  const stored = await run.log.load(aggregate);
  const isNews = run.history.data("sync.cancel_requested") === null;
  const isAsked = stored.some(({ event }) => event.type === "sync.cancel_requested");
  if (!isNews || !isAsked)
    throw error instanceof VersionConflict
      ? error
      : new VersionConflict("the run has moved", { cause: error });
  for (const { event } of stored) run.history.add(event);
  return replay(runBehaviour, aggregate, stored);
}

/** Performs the step that the machine asks for and appends what came of it. */
async function takeStep(
  run: RunInWork,
  actor: Actor,
  {
    logger,
    surprises,
    traceparent: parent,
  }: { logger: Logger; surprises: number; traceparent: string | undefined },
): Promise<Actor & { event: AnyEvent }> {
  const effect = actor.effects.at(-1) ?? "none";
  const span = run.tracing.step(parent, effect);
  const { traceparent } = span;
  try {
    const result = await performStep(run, effect, { logger, surprises, traceparent });
    const decision = decide(actor.snapshot, runFact(result));
    const draft = { type: result.type, machine: SYNC_RUN_MACHINE, data: result.data, traceparent };
    const next = await record(run.log, actor, { decision, draft });
    span.end({ error: (result.type === "sync.completed" && result.data.error_code) || undefined });
    return next;
  } catch (error) {
    span.end(brokenOff(error, run.signal));
    throw error;
  }
}

/** How the span of work ends that another worker, or a later try, goes on with. */
function brokenOff(error: unknown, signal: AbortSignal): Parameters<OpenSpan["end"]>[0] {
  return signal.aborted ? { facts: { "egret.parked": true } } : { error: toError(error).name };
}

async function performStep(
  run: RunInWork,
  effect: string,
  { logger, surprises, traceparent }: { logger: Logger; surprises: number; traceparent: string | undefined },
): Promise<StepResult> {
  const step = RUN_STEPS[effect];
  if (step === undefined) throw new LogCorrupt(`no step performs the effect ${effect}`);
  for (let tries = 0; ; tries++) {
    try {
      return await step(run, traceparent);
    } catch (error) {
      // What an aborted step complains of is no failure of the run.
      if (run.signal.aborted) throw error;
      if (error instanceof RunFailure) {
        const delayMs =
          error.runCode === "SOURCE_CONNECTION_FAILED" ? SOURCE_RETRY_DELAYS_MS[tries] : undefined;
        if (delayMs === undefined) return await failureOf(run, error);
        logger.warn(
          { run: run.history.ids.sync_run_id, effect, delayMs, reason: error.message },
          "run.source_retry",
        );
        await delay(delayMs, undefined, { signal: run.signal });
      } else if (isPassing(error) || surprises < MAX_SURPRISES) {
        throw error;
      } else {
        logger.error({ run: run.history.ids.sync_run_id, effect, err: toError(error) }, "run.internal_error");
        return await failureOf(
          run,
          new RunFailure("INTERNAL_ERROR", `the step ${effect} failed again and again`),
        );
      }
    }
  }
}

/** True for trouble with our own NATS or Postgres: the run waits for them however long it takes. */
export function isPassing(error: unknown): boolean {
  if (error instanceof VersionConflict) return true;
  const { code, message } = error as { code?: string; message?: string };
  if (code === "UNAVAILABLE" || /^(ECONN|EPIPE|ETIMEDOUT|57P0|08|53)/.test(code ?? "")) return true;
  return /connection (terminated|ended|closed)|closed|timeout/i.test(message ?? "");
}
