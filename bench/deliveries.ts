/** The first events that benchmarks append: of a delivery, as the notifier writes it, and of a run, as its worker does. */
import { createHash } from "node:crypto";
import { DELIVERY_MACHINE } from "../machines/delivery.ts";
import { SYNC_RUN_MACHINE } from "../machines/syncRun.ts";
import type { DeliveryAggregate, RunAggregate } from "../src/domain/aggregate.ts";
import type { EventData } from "../src/domain/event.ts";
import { lifecyclePayload } from "../src/domain/lifecycle.ts";
import { WEBHOOK_RETRY_DELAYS_MS, WEBHOOK_TIMEOUT_MS } from "../src/domain/retryPolicy.ts";
import type { EventDraft } from "../src/log/eventLog.ts";

/** Which delivery, to which webhook. */
export interface PendingPlace {
  deliveryId: string;
  webhookId: number;
  /** The lifecycle webhooks' own schedule unless given. */
  retryDelaysMs?: readonly number[];
}

const PAYLOAD = lifecyclePayload({
  event: "sync.completed",
  workspaceId: 1,
  syncId: 1,
  runId: 1,
  status: "ok",
});
const PAYLOAD_SHA256 = createHash("sha256").update(PAYLOAD).digest("hex");
const EVENT_ID = "0190f4c2-7b1e-7c3a-9a55-2f1d3c4b5a69";

/** What a delivery to a webhook is born with. */
export function pendingData(place: PendingPlace): EventData<"delivery.pending"> {
  const { deliveryId, webhookId, retryDelaysMs = WEBHOOK_RETRY_DELAYS_MS } = place;
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: webhookId,
    delivery_id: deliveryId,
    sync_id: 1,
    sync_run_id: 1,
    fact: "created",
    event: "sync.completed",
    event_id: EVENT_ID,
    retry_delays_ms: [...retryDelaysMs],
    timeout_ms: WEBHOOK_TIMEOUT_MS,
    records: 0,
    payload: PAYLOAD,
    payload_sha256: PAYLOAD_SHA256,
  };
}

/** The aggregate and its first event. */
export function createPending(place: PendingPlace): {
  aggregate: DeliveryAggregate;
  draft: EventDraft<"delivery.pending">;
} {
  const { deliveryId, webhookId } = place;
  return {
    aggregate: { kind: "delivery", workspaceId: 1, targetKind: "webhook", targetId: webhookId, deliveryId },
    draft: {
      type: "delivery.pending",
      machine: DELIVERY_MACHINE,
      state: "pending",
      data: pendingData(place),
    },
  };
}

/**
 * A lifecycle event that webhooks are told of: a run's `sync.started`. No `sync.triggered` comes before it, so that no
 * worker takes the run; read models leave such a run out.
 */
export function createStarted(runId: number): {
  aggregate: RunAggregate;
  draft: EventDraft<"sync.started">;
} {
  return {
    aggregate: { kind: "run", workspaceId: 1, syncId: 1, runId },
    draft: {
      type: "sync.started",
      machine: SYNC_RUN_MACHINE,
      state: "started.checking",
      data: { workspace_id: 1, sync_id: 1, sync_run_id: runId, worker: "bench" },
    },
  };
}
