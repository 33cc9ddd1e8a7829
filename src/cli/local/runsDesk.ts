/** Runs over the services: lists from the read models, what happened from the log, wishes by commands. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { RunAggregate, TrialAggregate } from "../../domain/aggregate.ts";
import { InvalidInput } from "../../domain/errors.ts";
import type { AnyEvent, EventData } from "../../domain/event.ts";
import { searchDeliveries } from "../../projections/deliverySearch.ts";
import { getRun, listRuns } from "../../projections/runs.ts";
import { failedDestinations } from "../../runtime/trials/connectionTest.ts";
import { ask } from "../askCommand.ts";
import type { RunStory, RunsDesk, TriggeredRun, TriggerWish } from "../desks.ts";
import { TimedOut } from "../failures.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import {
  findServices,
  type OpenLog,
  type Reach,
  type ReachOptions,
  withDatabase,
  withLog,
} from "../reach.ts";
import { checkCommandId, type RunAnswer, requestRun } from "../requestRun.ts";
import { findAnyRun } from "../runInLog.ts";
import type { RunScreen } from "../runScreen.ts";
import { isLastEvent, watchRun, watchToEnd } from "../watchRun.ts";

const LOOK_EVERY_MS = 100;
const MOST_DELIVERIES = 100_000;
/** A run may wait for its turn for long: whoever watches it has time, ms. */
const PATIENCE_MS = 86_400_000;

/** The desk. */
export async function localRunsDesk(options: ReachOptions): Promise<RunsDesk> {
  const reach = await findServices(options);
  return {
    list: ({ sync, workspace, limit }) =>
      withDatabase(reach, async ({ db }) => {
        if (sync === undefined) return listRuns(db, { limit });
        const { id: syncId } = await findSyncNamed(db, await findWorkspace(db, workspace), sync);
        return listRuns(db, { limit, syncId });
      }),
    story: (runId) => readStory(reach, runId),
    watch: (runId, screen) => watch(reach, runId, screen),
    trigger: (wish) => trigger(reach, wish),
    cancel: (runId, { timeoutMs, isAwaited }) =>
      withLog(reach, async (open) => {
        const run = await findAnyRun(open.connection, runId);
        await requestCancel(open, run, timeoutMs);
        return isAwaited ? ended(open, run, timeoutMs) : null;
      }),
  };
}

async function readStory(reach: Reach, runId: number): Promise<RunStory> {
  const events = await withLog(reach, async ({ connection, log }) =>
    log.load(await findAnyRun(connection, runId)),
  );
  return withDatabase(reach, async ({ db }) => {
    const run = await getRun(db, runId);
    const newestFirst = await searchDeliveries(db, { runId, limit: MOST_DELIVERIES });
    const attempts = await db
      .selectFrom("egret_read.attempts")
      .innerJoin("egret_read.deliveries as delivery", (join) =>
        join
          .onRef("delivery.id", "=", "egret_read.attempts.delivery_id")
          .onRef("delivery.target_kind", "=", "egret_read.attempts.target_kind")
          .onRef("delivery.target_id", "=", "egret_read.attempts.target_id"),
      )
      .selectAll("egret_read.attempts")
      .where("delivery.run_id", "=", runId)
      .where("egret_read.attempts.run_id", "=", runId)
      .orderBy("attempt")
      .execute();
    return { run, events: events.map(({ event }) => event), deliveries: newestFirst.toReversed(), attempts };
  });
}

/** One that has ended already is told of at once. */
function watch(reach: Reach, runId: number, screen: RunScreen | null): Promise<boolean> {
  return withLog(reach, async ({ connection, log }) => {
    const run = await findAnyRun(connection, runId);
    const first = (await log.load(run))[0];
    const last = await watchToEnd({
      connection,
      run,
      fromSequence: first?.sequence ?? 1,
      startTimeoutMs: PATIENCE_MS,
      onEvent: (event) => screen?.onEvent(event),
      onProgress: (progress) => screen?.onProgress(progress),
    });
    return last.type === "sync.failed" || last.type === "trial.failed";
  });
}

function trigger(reach: Reach, wish: TriggerWish): Promise<TriggeredRun> {
  checkCommandId(wish.id);
  return withDatabase(reach, async ({ db }) => {
    const workspace = await findWorkspace(db, wish.workspace);
    const sync = await findSyncNamed(db, workspace, wish.name);
    const request = { ...wish, workspaceId: workspace.id, syncId: sync.id };
    const answer = await withLog(reach, (open) => requestRun(open, db, request));
    const { run, sequence } = acceptedRun(answer, wish);
    return {
      ...run,
      failedDestinations: await failedDestinations(db, sync.id),
      watch: (screen, startTimeoutMs) =>
        withLog(reach, ({ connection }) =>
          watchRun({
            connection,
            run,
            fromSequence: sequence,
            startTimeoutMs,
            onEvent: (event) => screen?.onEvent(event),
            onProgress: (progress) => screen?.onProgress(progress),
          }),
        ),
    };
  });
}

function acceptedRun(
  answer: RunAnswer,
  { id, timeoutMs }: Pick<TriggerWish, "id" | "timeoutMs">,
): Extract<RunAnswer, { kind: "triggered" }> {
  if (answer.kind === "triggered") return answer;
  if (answer.kind === "refused")
    throw new InvalidInput(`refused (${answer.refusal.code}): ${answer.refusal.message}`);
  throw new TimedOut(
    `nothing took the command within ${timeoutMs / 1_000} s: is \`egret start\` with the role \`worker\` running? ` +
      `The command waits in the queue as ${id} and starts a run as soon as one does.`,
  );
}

/** Until the wish stands in the run's history. */
async function requestCancel(
  { connection, log }: OpenLog,
  run: RunAggregate | TrialAggregate,
  timeoutMs: number,
): Promise<void> {
  const payload = { run: run.runId, requested_via: "CLI" };
  const command = { workspaceId: run.workspaceId, verb: "cancel", payload, id: randomUUID() } as const;
  const before = (await log.last(run))?.event;
  // Of a run that has ended the refusal is waited for, whatever its history says.
  const isOver = before !== undefined && isLastEvent(before);
  const refusal = await ask({ connection, log }, command, {
    timeoutMs,
    isDone: async () => !isOver && (await log.load(run)).some(({ event }) => isCanceled(event)),
  });
  if (refusal === null) return;
  throw new InvalidInput(`refused (${refusal.code}): ${refusal.message}`);
}

function isCanceled(event: AnyEvent): boolean {
  return event.type === "sync.cancel_requested" || (event.type === "trial.failed" && event.data.canceled);
}

async function ended(
  { log }: OpenLog,
  run: RunAggregate | TrialAggregate,
  timeoutMs: number,
): Promise<Omit<EventData<"sync.completed"> | EventData<"trial.failed">, "sync_run_id">> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const events = (await log.load(run)).map(({ event }) => event);
    const last = events.at(-1);
    if (last !== undefined && isLastEvent(last)) {
      const end = events.findLast(({ type }) => type === "sync.completed" || type === "trial.failed");
      if (end?.type === "sync.completed" || end?.type === "trial.failed") {
        const { sync_run_id: _run, ...rest } = end.data;
        return rest;
      }
    }
    if (performance.now() > deadline) throw new TimedOut(notCanceledYet(run.runId, timeoutMs));
    await delay(LOOK_EVERY_MS);
  }
}

/** Of a run whose end does not come. */
function notCanceledYet(runId: number, timeoutMs: number): string {
  return (
    `run ${runId} is to be canceled, and has not ended within ${Math.round(timeoutMs / 1_000)} s: is \`egret start\` ` +
    "with the role `worker` running? It ends by itself as soon as a worker has seen to it."
  );
}
