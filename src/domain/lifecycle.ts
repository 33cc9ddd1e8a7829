/** The seven sync lifecycle events that webhooks subscribe to, and the public payload of each. */

/** Names of the events a webhook may subscribe to. Source: seed; behaviour.md 6.2. */
export const LIFECYCLE_EVENTS = [
  "sync.triggered",
  "sync.started",
  "sync.completed",
  "sync.success",
  "sync.failed",
  "sync.alert.raised",
  "sync.alert.resolved",
] as const;

export type LifecycleEvent = (typeof LIFECYCLE_EVENTS)[number];

/** True for an event type that webhooks can receive. */
export function isLifecycleEvent(type: string): type is LifecycleEvent {
  return (LIFECYCLE_EVENTS as readonly string[]).includes(type);
}

/** What the payload of a run's lifecycle event is made from. */
export interface LifecycleFacts {
  event: LifecycleEvent;
  workspaceId: number;
  syncId: number;
  runId: number;
  /** Only for sync.completed. */
  status?: "ok" | "emergency" | undefined;
}

/**
 * The JSON text posted to webhooks: exactly the public fields, compact, no trailing newline.
 * Source: docs; behaviour.md 6.3. Its bytes are frozen once made (I9).
 */
export function lifecyclePayload(facts: LifecycleFacts): string {
  const ids = { workspace_id: facts.workspaceId, sync_id: facts.syncId, sync_run_id: facts.runId };
  return JSON.stringify(
    facts.event === "sync.completed"
      ? { ...ids, event: facts.event, status: facts.status }
      : { ...ids, event: facts.event },
  );
}

/** What the payload of an alert's lifecycle event is made from. */
export interface AlertFacts {
  event: "sync.alert.raised" | "sync.alert.resolved";
  workspaceId: number;
  syncId: number;
  /** The run that raised it, or that resolved it. */
  runId: number;
  episode: number;
  type: string;
  message: string;
  details: string;
  followupUrl: string;
}

/** The JSON text posted to webhooks about an alert, frozen like the others. Source: docs; behaviour.md 6.3. */
export function alertPayload(facts: AlertFacts): string {
  return JSON.stringify({
    workspace_id: facts.workspaceId,
    sync_id: facts.syncId,
    sync_run_id: facts.runId,
    alert_instance_id: facts.episode,
    alert_type: facts.type,
    message: facts.message,
    details: facts.details,
    followup_url: facts.followupUrl,
    event: facts.event,
  });
}
