/** The things that have a history, and the subjects under which their events stand in the log. */

/** One execution of a sync. */
export interface RunAggregate {
  kind: "run";
  workspaceId: number;
  syncId: number;
  runId: number;
}

/** A dry or test run of a sync: numbered with the runs, its events apart from theirs. */
export interface TrialAggregate {
  kind: "trial";
  workspaceId: number;
  syncId: number;
  runId: number;
}

/** One payload for one target: a batch for a destination, or a lifecycle event for a webhook. */
export interface DeliveryAggregate {
  kind: "delivery";
  workspaceId: number;
  targetKind: "webhook" | "destination";
  targetId: number;
  deliveryId: string;
}

/** One configured object whose changes are recorded. */
export interface ConfigAggregate {
  kind: "config";
  workspaceId: number;
  objectKind: ConfigKind;
  objectId: number;
}

/** A command that was refused; accepted ones live on as the run they caused. */
export interface CommandAggregate {
  kind: "command";
  workspaceId: number;
  commandId: string;
}

/** A job that delivers many deliveries again. */
export interface ReplayAggregate {
  kind: "replay";
  workspaceId: number;
  replayId: number;
}

/** The health of one target of deliveries. */
export interface EndpointAggregate {
  kind: "endpoint";
  workspaceId: number;
  targetKind: "webhook" | "destination";
  targetId: number;
}

/** What one alert configuration watches in the runs of its sync. */
export interface AlertAggregate {
  kind: "alert";
  workspaceId: number;
  syncId: number;
  /** Id of the configuration: each episode has an `alert_instance_id` of its own. */
  alertId: number;
}

export type ConfigKind = "workspace" | "source" | "model" | "destination" | "sync" | "webhook";
export type Aggregate =
  | RunAggregate
  | TrialAggregate
  | DeliveryAggregate
  | ConfigAggregate
  | CommandAggregate
  | ReplayAggregate
  | EndpointAggregate
  | AlertAggregate;

/** Subject of an aggregate below `egret.events`: append `.<last word of an event type>` for one event of it. */
export function aggregateSubject(aggregate: Aggregate): string {
  const ws = aggregate.workspaceId;
  switch (aggregate.kind) {
    case "run":
      return `${ws}.run.${aggregate.syncId}.${aggregate.runId}`;
    case "trial":
      return `${ws}.trial.${aggregate.syncId}.${aggregate.runId}`;
    case "delivery":
      return `${ws}.delivery.${aggregate.targetKind}.${aggregate.targetId}.${aggregate.deliveryId}`;
    case "config":
      return `${ws}.config.${aggregate.objectKind}.${aggregate.objectId}`;
    case "command":
      return `${ws}.command.${aggregate.commandId}`;
    case "endpoint":
      return `${ws}.endpoint.${aggregate.targetKind}.${aggregate.targetId}`;
    case "replay":
      return `${ws}.replay.${aggregate.replayId}`;
    case "alert":
      return `${ws}.alert.${aggregate.syncId}.${aggregate.alertId}`;
  }
}

/** Name of an aggregate in an event's CloudEvents `subject`, such as `run/7011`. */
export function aggregateName(aggregate: Aggregate): string {
  switch (aggregate.kind) {
    case "run":
      return `run/${aggregate.runId}`;
    case "trial":
      return `trial/${aggregate.runId}`;
    case "delivery":
      return `delivery/${aggregate.deliveryId}`;
    case "config":
      return `${aggregate.objectKind}/${aggregate.objectId}`;
    case "command":
      return `command/${aggregate.commandId}`;
    case "endpoint":
      return `endpoint/${aggregate.targetKind}-${aggregate.targetId}`;
    case "replay":
      return `replay/${aggregate.replayId}`;
    case "alert":
      return `alert/${aggregate.alertId}`;
  }
}

/** The aggregate that a subject below `egret.events` belongs to, or null when the subject has another form. */
export function parseAggregate(subject: string): Aggregate | null {
  const [ws, kind, a, b, c] = subject.split(".");
  const workspaceId = Number(ws);
  if (!Number.isSafeInteger(workspaceId) || a === undefined || b === undefined) return null;
  if (kind === "run" || kind === "trial") return { kind, workspaceId, syncId: Number(a), runId: Number(b) };
  if (kind === "alert") return { kind, workspaceId, syncId: Number(a), alertId: Number(b) };
  if (kind === "config") return { kind, workspaceId, objectKind: a as ConfigKind, objectId: Number(b) };
  if (kind === "command") return { kind, workspaceId, commandId: a };
  if (kind === "replay") return { kind, workspaceId, replayId: Number(a) };
  if (kind === "endpoint" && (a === "webhook" || a === "destination")) {
    return { kind, workspaceId, targetKind: a, targetId: Number(b) };
  }
  if (kind === "delivery" && c !== undefined && (a === "webhook" || a === "destination")) {
    return { kind, workspaceId, targetKind: a, targetId: Number(b), deliveryId: c };
  }
  return null;
}
