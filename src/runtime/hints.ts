/** Unstored messages by which workers nudge each other and show progress; losing one costs a moment, never a fact. */
import type { LogConnection } from "../log/connection.ts";
import type { TargetRef } from "../log/waitingRoom.ts";

/** How far a run is, for people who watch; the truth is in the events. */
export interface RunProgress {
  workspace_id: number;
  sync_id: number;
  sync_run_id: number;
  phase: "snapshotting" | "diffing" | "loading" | "committing";
  rows_read: number;
  records_planned: number | null;
  records_sent: number | null;
  records_failed: number | null;
  /** What the phase is called in the API (behaviour.md 4.3). */
  current_step: string;
  /** Rows of this phase; null while it is too young to tell. */
  rate_per_second: number | null;
  /** Until the phase ends; null where nobody can know. */
  time_left_ms: number | null;
}

/** Says how far a run is on `<prefix>.progress.<workspace>.<sync>.<run>`. */
export function publishProgress({ nc, topology }: LogConnection, progress: RunProgress): void {
  if (nc.isClosed()) return;
  const { workspace_id, sync_id, sync_run_id } = progress;
  nc.publish(
    `${topology.prefix}.progress.${workspace_id}.${sync_id}.${sync_run_id}`,
    JSON.stringify(progress),
  );
}

/** How far a replay is, for people who watch; the truth is in Postgres and, once it has ended, in its events. */
export interface ReplayProgress {
  workspace_id: number;
  replay_id: number;
  /** Null while it is being counted. */
  total: number | null;
  replayed: number;
  skipped: number;
}

/** Says how far a replay is on `<prefix>.progress.<workspace>.replay.<id>`. */
export function publishReplayProgress({ nc, topology }: LogConnection, progress: ReplayProgress): void {
  if (nc.isClosed()) return;
  const { workspace_id, replay_id } = progress;
  nc.publish(`${topology.prefix}.progress.${workspace_id}.replay.${replay_id}`, JSON.stringify(progress));
}

/** Calls `onMessage` with the progress of a replay as its worker tells it; returns how to stop. */
export function onReplayProgress(
  { nc, topology }: LogConnection,
  replay: { workspaceId: number; replayId: number },
  onMessage: (progress: ReplayProgress) => void,
): () => void {
  const subject = `${topology.prefix}.progress.${replay.workspaceId}.replay.${replay.replayId}`;
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) onMessage(message.json<ReplayProgress>());
    },
  });
  return () => subscription.unsubscribe();
}

/** Tells the worker of a run that batches of it have an outcome now. */
export function publishSettled(
  { nc, topology }: LogConnection,
  runId: number,
  batchNos: readonly number[],
): void {
  if (!nc.isClosed()) nc.publish(`${topology.prefix}.hints.settled.${runId}`, JSON.stringify(batchNos));
}

/** Calls `onSettled` with batches that have an outcome now; returns how to stop. */
export function onSettled(
  { nc, topology }: LogConnection,
  runId: number,
  onBatches: (batchNos: number[]) => void,
): () => void {
  const subscription = nc.subscribe(`${topology.prefix}.hints.settled.${runId}`, {
    callback: (error, message) => {
      if (error === null) onBatches(message.json<number[]>());
    },
  });
  return () => subscription.unsubscribe();
}

/** Tells the worker that has a run to look into the log: somebody wants the run cancelled. */
export function publishCanceled({ nc, topology }: LogConnection, runId: number): void {
  if (!nc.isClosed()) nc.publish(`${topology.prefix}.hints.canceled.${runId}`);
}

/** Calls `onHint` when somebody wants the run cancelled; returns how to stop. */
export function onCanceled({ nc, topology }: LogConnection, runId: number, onHint: () => void): () => void {
  const subscription = nc.subscribe(`${topology.prefix}.hints.canceled.${runId}`, {
    callback: (error) => {
      if (error === null) onHint();
    },
  });
  return () => subscription.unsubscribe();
}

/** Calls `onMessage` with the progress of a run as its worker tells it; returns how to stop. */
export function onProgress(
  { nc, topology }: LogConnection,
  run: { workspaceId: number; syncId: number; runId: number },
  onMessage: (progress: RunProgress) => void,
): () => void {
  const subject = `${topology.prefix}.progress.${run.workspaceId}.${run.syncId}.${run.runId}`;
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) onMessage(message.json<RunProgress>());
    },
  });
  return () => subscription.unsubscribe();
}

/** Tells every delivery worker that deliveries wait for a target. */
export function publishWaiting({ nc, topology }: LogConnection, target: TargetRef): void {
  if (!nc.isClosed()) nc.publish(`${topology.prefix}.hints.waiting`, JSON.stringify(target));
}

/** Calls `onTarget` with targets for which deliveries wait; returns how to stop. */
export function onWaiting(
  { nc, topology }: LogConnection,
  onTarget: (target: TargetRef) => void,
): () => void {
  const subscription = nc.subscribe(`${topology.prefix}.hints.waiting`, {
    callback: (error, message) => {
      if (error === null) onTarget(message.json<TargetRef>());
    },
  });
  return () => subscription.unsubscribe();
}
