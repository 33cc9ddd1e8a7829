/** Runs over the API. */
import { ApiError, type Client, each, type Schemas } from "../../client/client.ts";
import { InvalidInput } from "../../domain/errors.ts";
import type {
  RunStory,
  RunsDesk,
  ShownDelivery,
  ShownEnd,
  ShownRun,
  TriggeredRun,
  TriggerWish,
} from "../desks.ts";
import { shownDelivery } from "./deliveriesDesk.ts";
import { eventsOf } from "./eventsOf.ts";
import { findSync, firstOf } from "./findNamed.ts";
import { followRun, readRun } from "./followRun.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace, orNull } from "./openRemote.ts";
import { durationOf, runEnd } from "./runEnd.ts";

/** The desk. */
export function remoteRunsDesk(client: Client): RunsDesk {
  return {
    list: async ({ sync: name, workspace, limit }) => {
      const sync = name === undefined ? undefined : await findSync(client, { name, workspace });
      if (sync === undefined) await checkWorkspace(client, workspace);
      const query = { sync_id: sync?.id, run_kind: "all", per_page: Math.min(limit, 100) } as const;
      return (await firstOf(each(client.listAllSyncRuns, { query }), limit)).map(shownRun);
    },
    story: (runId) => story(client, runId),
    watch: async (runId, screen) => (await followRun(client, runId, { screen })).status === "failed",
    trigger: (wish) => trigger(client, wish),
    cancel: async (runId, { timeoutMs, isAwaited }) => {
      await readRun(client, runId);
      await client.cancelSyncRun({ path: { id: runId } });
      if (!isAwaited) return null;
      const run = await followRun(client, runId, { screen: null, endTimeoutMs: timeoutMs });
      const { data: workspace } = await client.getOwnWorkspace();
      const { sync_run_id: _run, ...rest } = runEnd(run, workspace.id);
      return rest;
    },
  };
}

/** A run in the form of commands. */
function shownRun(run: Schemas["SyncRun"]): ShownRun {
  return {
    id: run.id,
    sync_id: run.sync_id,
    sync_name: run.sync_name,
    run_kind: run.run_kind,
    status: run.status === "working" && run.started_at === null ? "queued" : run.status,
    full_sync: run.full_sync,
    canceled: run.canceled,
    source_record_count: run.source_record_count,
    source_record_updates: run.source_record_updates,
    source_record_deletes: run.source_record_deletes,
    source_record_invalids: run.source_record_invalids,
    records_processed: run.records_processed,
    records_updated: run.records_updated,
    records_failed: run.records_failed,
    error_code: run.error_code,
    error_message: run.error_message,
    error_detail: run.error_detail,
    created_at: new Date(run.created_at),
    started_at: dateOrNull(run.started_at),
    completed_at: dateOrNull(run.completed_at),
  };
}

async function story(client: Client, runId: number): Promise<RunStory> {
  const path = { id: runId };
  const run = await readRun(client, runId);
  const events = await eventsOf(client.listSyncRunEvents, { path });
  const deliveries: ShownDelivery[] = [];
  const attempts: RunStory["attempts"] = [];
  const query = { order: "asc" } as const;
  for await (const delivery of each(client.listSyncRunDeliveries, { path, query })) {
    const shown = shownDelivery(delivery);
    deliveries.push(shown);
    attempts.push(...delivery.attempts.map((attempt) => shownAttempt(shown, attempt)));
  }
  return { run: shownRun(run), events, deliveries, attempts };
}

function shownAttempt(
  { id: delivery_id, target_kind, target_id }: ShownDelivery,
  { n: attempt, started_at, duration_ms, http_status, error }: Schemas["Attempt"],
): RunStory["attempts"][number] {
  const of = { delivery_id, target_kind, target_id };
  return { ...of, attempt, started_at: new Date(started_at), duration_ms, http_status, error };
}

async function trigger(client: Client, wish: TriggerWish): Promise<TriggeredRun> {
  const { id, resource_identifier, destination_attributes } = await findSync(client, wish);
  const body = {
    force_full_sync: wish.isFull,
    reason: wish.reason,
    ...(wish.allowDeletes === undefined ? {} : { allow_deletes: wish.allowDeletes }),
    ...(wish.allowRejects === undefined ? {} : { allow_rejects: wish.allowRejects }),
  };
  const [answer, workspace, destination] = await Promise.all([
    client
      .triggerSync({ path: { id }, body }, { idempotencyKey: wish.id, timeoutMs: wish.timeoutMs })
      .catch(refused),
    client.getOwnWorkspace(),
    orNull(client.getDestination({ path: { id: destination_attributes.connection_id } })),
  ]);
  const { sync_run_id: runId } = answer.data;
  const { name, last_test_succeeded } = destination?.data ?? {
    name: resource_identifier,
    last_test_succeeded: null,
  };
  return {
    runId,
    syncId: id,
    workspaceId: workspace.data.id,
    failedDestinations: last_test_succeeded === false ? [name] : [],
    watch: async (screen, startTimeoutMs) =>
      endOf(await followRun(client, runId, { screen, startTimeoutMs }), workspace.data.id),
  };
}

function refused(error: unknown): never {
  if (error instanceof ApiError && error.status === 409)
    throw new InvalidInput(`refused: ${error.message}`, [], { cause: error });
  throw error;
}

function endOf(run: Schemas["SyncRun"] & { completed_at: string }, workspaceId: number): ShownEnd {
  const { id, status } = run;
  if (status === "skipped") {
    throw new InvalidInput(
      `run ${id} was skipped: another run of the same sync was under way; wait for its end, then trigger again`,
    );
  }
  return {
    outcome: status === "completed" ? "success" : "failed",
    durationMs: durationOf(run),
    completed: runEnd(run, workspaceId),
  };
}
