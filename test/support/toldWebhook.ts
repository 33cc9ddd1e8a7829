/** Deliveries to a webhook without a sync behind them: what the notifier would begin for the events of a run. */
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { isRunLifecycleEvent, lifecycleDelivery } from "../../src/runtime/deliveries/notifier.ts";
import type { TestEgret } from "./egret.ts";
import { runHistory } from "./events.ts";

/**
 * Begins the deliveries of a run's lifecycle events, of which the worker under test sends each once; returns their ids
 * in the order of the events: triggered, started, completed, success.
 */
export async function tellWebhook(
  { services }: Pick<TestEgret, "services">,
  { workspaceId, webhookId, runId }: { workspaceId: number; webhookId: number; runId: number },
): Promise<string[]> {
  const intake = new DeliveryIntake(services.log);
  const ids: string[] = [];
  for (const event of runHistory({ runId, workspaceId, startMs: Date.now() })) {
    if (!isRunLifecycleEvent(event)) continue;
    const data = { ...lifecycleDelivery(event, webhookId), retry_delays_ms: [] };
    await intake.create(data);
    ids.push(data.delivery_id);
  }
  return ids;
}
