/** Takes triggered runs from the log and moves each to its end, resuming where a dead worker left it. */
import { setTimeout as delay } from "node:timers/promises";
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { SYNC_RUN_MACHINE } from "../../machines/syncRun.ts";
import { LogCorrupt, RunFailure, toError, VersionConflict } from "../domain/errors.ts";
import { decodeEvent } from "../log/codec.ts";
import type { LogConnection } from "../log/connection.ts";
import type { EventLog } from "../log/eventLog.ts";
import { CONSUMERS } from "../log/topology.ts";
import { type Actor, decide, hasEnded, record, replay } from "./actor.ts";
import type { DeliveryIntake } from "./deliveryIntake.ts";
import { RunHistory, runBehaviour, runFact } from "./runActor.ts";
import type { RunEngine, RunSession } from "./runSession.ts";
import { failureOf, RUN_STEPS, type RunInWork, type StepResult } from "./runSteps.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "./workQueue.ts";

export interface RunWorkerOptions {
  connection: LogConnection;
  log: EventLog;
  intake: DeliveryIntake;
  engine: RunEngine;
  /** Name of this worker in `sync.started`. */
  worker: string;
  concurrency: number;
  logger: Logger;
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

async function handleRun(
  options: RunWorkerOptions,
  message: JsMsg,
  signal: AbortSignal,
): Promise<WorkResult> {
  const { log, engine, logger } = options;
  const event = decodeEvent(message.data, message.subject);
  if (event.type !== "sync.triggered") throw new LogCorrupt(`${event.type} is not a work item`);
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = event.data;
  const session = await engine.open({ workspaceId, syncId, runId });
  if (session === null) return { kind: "again", delayMs: ELSEWHERE_MS };
  try {
    const aggregate = { kind: "run", workspaceId, syncId, runId } as const;
    const stored =
      message.info.deliveryCount === 1 ? [{ event, sequence: message.seq }] : await log.load(aggregate);
    const actor = replay(runBehaviour, aggregate, stored);
    const run = inWork(options, { history: new RunHistory(stored), session, signal });
    return await moveToEnd(run, actor, { logger, surprises: message.info.deliveryCount });
  } catch (error) {
    if (signal.aborted) return { kind: "again", delayMs: 0 };
    if (error instanceof VersionConflict) return { kind: "again", delayMs: ELSEWHERE_MS };
    throw error;
  } finally {
    await session.close();
  }
}

function inWork(
  { connection, log, intake, worker, now }: RunWorkerOptions,
  part: { history: RunHistory; session: RunSession; signal: AbortSignal },
): RunInWork {
  return { ...part, connection, log, intake, worker, now: now ?? Date.now };
}

async function moveToEnd(
  run: RunInWork,
  actor: Actor,
  { logger, surprises }: { logger: Logger; surprises: number },
): Promise<WorkResult> {
  let current = actor;
  while (!hasEnded(current.snapshot)) {
    run.signal.throwIfAborted();
    const result = await performStep(run, current, { logger, surprises });
    const decision = decide(current.snapshot, runFact(result));
    const draft = { type: result.type, machine: SYNC_RUN_MACHINE, data: result.data };
    const next = await record(run.log, current, { decision, draft });
    run.history.add(next.event);
    logger.info(
      { run: run.history.ids.sync_run_id, sync: run.history.ids.sync_id, state: decision.state },
      result.type,
    );
    current = next;
  }
  return { kind: "done" };
}

async function performStep(
  run: RunInWork,
  actor: Actor,
  { logger, surprises }: { logger: Logger; surprises: number },
): Promise<StepResult> {
  const effect = actor.effects.at(-1) ?? "none";
  const step = RUN_STEPS[effect];
  if (step === undefined) throw new LogCorrupt(`no step performs the effect ${effect}`);
  for (let tries = 0; ; tries++) {
    try {
      return await step(run);
    } catch (error) {
      if (error instanceof RunFailure) {
        const delayMs =
          error.runCode === "SOURCE_CONNECTION_FAILED" ? SOURCE_RETRY_DELAYS_MS[tries] : undefined;
        if (delayMs === undefined) return await failureOf(run, error);
        logger.warn(
          { run: run.history.ids.sync_run_id, effect, delayMs, reason: error.message },
          "run.source_retry",
        );
        await delay(delayMs, undefined, { signal: run.signal });
      } else if (run.signal.aborted || isPassing(error) || surprises < MAX_SURPRISES) {
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
function isPassing(error: unknown): boolean {
  if (error instanceof VersionConflict) return true;
  const { code, message } = error as { code?: string; message?: string };
  if (code === "UNAVAILABLE" || /^(ECONN|EPIPE|ETIMEDOUT|57P0|08|53)/.test(code ?? "")) return true;
  return /connection (terminated|ended|closed)|closed|timeout/i.test(message ?? "");
}
