/** Works on dry and test runs, beside the runs of their syncs: they claim nothing, and what they say is of no lifecycle. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { TRIAL_RUN_MACHINE } from "../../../machines/trialRun.ts";
import type { DestinationSender } from "../../destinations/destination.ts";
import type { TrialAggregate } from "../../domain/aggregate.ts";
import type { Sync } from "../../domain/configuration.ts";
import { LogCorrupt, RunFailure, toError, VersionConflict } from "../../domain/errors.ts";
import type { EgretEvent, EventData } from "../../domain/event.ts";
import { dropTrial } from "../../engine/trials.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { CONSUMERS } from "../../log/topology.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { type Actor, decide, hasEnded, record, replay } from "../actor.ts";
import { watchForCancel } from "../runs/cancelWatch.ts";
import { lockRun } from "../runs/engineSession.ts";
import { isPassing } from "../runs/runWorker.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "../workQueue.ts";
import { type TrialFound, workOutDryRun } from "./dryRun.ts";
import { sendTestRecord } from "./testSync.ts";
import { trialBehaviour } from "./trialActor.ts";

export interface TrialWorkerOptions {
  connection: LogConnection;
  log: EventLog;
  database: OpenDatabase;
  /** Null when the sync was deleted. */
  readSync(id: number): Promise<Sync | null>;
  sender: DestinationSender;
  /** Name of this worker in `trial.started`. */
  worker: string;
  logger: Logger;
  now?: () => number;
}

/** A dry run costs as much as a run until it would send. */
const TRIALS_AT_ONCE = 4;
/** A trial that another worker has is looked at again after this, ms. */
const ELSEWHERE_MS = 2_000;
/** One that keeps failing for no known reason ends after this many tries. */
const MAX_SURPRISES = 4;

type Requested = EgretEvent<"trial.requested">;

/** Starts a worker; several may share the work. */
export function startTrialWorker(options: TrialWorkerOptions): WorkQueue {
  const stop = new AbortController();
  const queue = startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.eventStreams.runs,
    consumer: CONSUMERS.trials,
    concurrency: () => TRIALS_AT_ONCE,
    logger: options.logger,
    handle: (message) => handleTrial(options, message, stop.signal),
  });
  return {
    wake: () => queue.wake(),
    close: () => {
      // Nothing was changed: whoever takes a trial up begins it again.
      stop.abort();
      return queue.close();
    },
  };
}

async function handleTrial(
  options: TrialWorkerOptions,
  message: JsMsg,
  parking: AbortSignal,
): Promise<WorkResult> {
  const event = decodeEvent(message.data, message.subject);
  if (event.type !== "trial.requested") throw new LogCorrupt(`${event.type} is not a work item`);
  const { workspace_id: workspaceId, sync_id: syncId, sync_run_id: runId } = event.data;
  const lock = await lockRun(options.database.pool, runId);
  if (lock === null) return { kind: "again", delayMs: ELSEWHERE_MS };
  const aggregate: TrialAggregate = { kind: "trial", workspaceId, syncId, runId };
  const watch = watchForCancel(options, aggregate);
  const signal = AbortSignal.any([parking, watch.signal]);
  try {
    const actor = replay(trialBehaviour, aggregate, await options.log.load(aggregate));
    if (!hasEnded(actor.snapshot)) {
      const isLastTry = message.info.deliveryCount >= MAX_SURPRISES;
      await moveToEnd(new Trial(options, event, signal), actor, isLastTry);
    }
    return { kind: "done" };
  } catch (error) {
    if (parking.aborted) return { kind: "again", delayMs: 0 };
    // Cancelled: whoever cancelled it has written down its end.
    if (watch.signal.aborted || error instanceof VersionConflict) return { kind: "again", delayMs: 0 };
    throw error;
  } finally {
    watch.close();
    await dropTrial(options.database.db, runId).catch(() => undefined);
    lock.release();
  }
}

async function moveToEnd(trial: Trial, actor: Actor, isLastTry: boolean): Promise<void> {
  const begun = actor.head.version > 1 ? actor : await trial.start(actor);
  try {
    await trial.complete(begun, await trial.work());
  } catch (error) {
    if (trial.signal.aborted || error instanceof VersionConflict) throw error;
    if (error instanceof RunFailure) await trial.fail(begun, error);
    else if (isPassing(error) || !isLastTry) throw error;
    else {
      trial.logger.error({ run: trial.runId, err: toError(error) }, "trial.internal_error");
      await trial.fail(begun, new RunFailure("INTERNAL_ERROR", "it failed again and again"));
    }
  }
}

class Trial {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly #options: TrialWorkerOptions;
  readonly #requested: Requested;
  readonly #startedAtMs = performance.now();

  constructor(options: TrialWorkerOptions, requested: Requested, signal: AbortSignal) {
    this.#options = options;
    this.#requested = requested;
    this.signal = signal;
    this.logger = options.logger;
  }

  get runId(): number {
    return this.#requested.data.sync_run_id;
  }

  async start(actor: Actor): Promise<Actor> {
    return this.#append(actor, "trial.started", { ...this.#ids, worker: this.#options.worker });
  }

  async work(): Promise<TrialFound> {
    const { database, connection, sender, readSync, now = Date.now } = this.#options;
    const { data, traceparent } = this.#requested;
    const { signal, runId } = this;
    const sync = await readSync(data.sync_id);
    if (sync === null) throw new RunFailure("CONFIG_INVALID", "The sync of this run was deleted");
    const at = new Date(now());
    if (data.run_kind === "test")
      return sendTestRecord({ database, sync, runId, sender, at, traceparent, signal });
    const teller = { connection, ids: this.#ids, now };
    return workOutDryRun({ database, sync, runId, isFull: data.force_full_sync, teller, signal });
  }

  async complete(actor: Actor, found: TrialFound): Promise<void> {
    const duration_ms = Math.round(performance.now() - this.#startedAtMs);
    await this.#append(actor, "trial.completed", { ...this.#ids, ...found, duration_ms });
  }

  async fail(actor: Actor, failure: RunFailure): Promise<void> {
    await this.#append(actor, "trial.failed", {
      ...this.#ids,
      canceled: false,
      command_id: null,
      error_code: failure.runCode,
      error_message: failure.message,
      error_detail: failure.detail,
    });
  }

  get #ids() {
    const { workspace_id, sync_id, sync_run_id } = this.#requested.data;
    return { workspace_id, sync_id, sync_run_id };
  }

  async #append<T extends "trial.started" | "trial.completed" | "trial.failed">(
    actor: Actor,
    type: T,
    data: EventData<T>,
  ): Promise<Actor> {
    const decision = decide(actor.snapshot, { type });
    const { traceparent } = this.#requested;
    const draft = { type, machine: TRIAL_RUN_MACHINE, data, traceparent };
    const next = await record(this.#options.log, actor, { decision, draft });
    this.logger.info({ run: this.runId, sync: this.#ids.sync_id, state: decision.state }, type);
    return next;
  }
}
